"""`templates/certificate.html`, compiled by Jinja2 3.1.6."""

from pytest_orchestrator.reports.templating import LoopContext, Macro, Undefined, escape, identity, missing, Environment as environment
name = 'certificate.html'

def root(context, missing=missing, environment=environment):
    resolve = context.resolve_or_missing
    undefined = environment.undefined
    concat = environment.concat
    cond_expr_undefined = Undefined
    if 0: yield None
    l_0_title = resolve('title')
    l_0_css = resolve('css')
    l_0_pages = resolve('pages')
    l_0_look = resolve('look')
    l_0_own_css = resolve('own_css')
    l_0_all = resolve('all')
    l_0_rows = l_0_findings = missing
    pass
    def macro(l_1_all):
        t_1 = []
        if l_1_all is missing:
            l_1_all = undefined("parameter 'all' was not provided", name='all')
        pass
        for l_2_row in l_1_all:
            _loop_vars = {}
            pass
            t_1.extend((
                '<div class="row',
                escape(environment.finalize((' missing' if environment.getattr(l_2_row, 'is_missing') else cond_expr_undefined("the inline if-expression on line 3 in 'certificate.html' evaluated to false and no else section was defined.")))),
                escape(environment.finalize((' wide' if environment.getattr(l_2_row, 'is_wide') else cond_expr_undefined("the inline if-expression on line 3 in 'certificate.html' evaluated to false and no else section was defined.")))),
                '"><dt>',
                escape(environment.finalize(environment.getattr(l_2_row, 'label'))),
                '</dt>',
            ))
            for l_3_line in environment.getattr(l_2_row, 'lines'):
                _loop_vars = {}
                pass
                t_1.append(
                    '<dd>',
                )
                if environment.getattr(l_3_line, 'name'):
                    pass
                    t_1.extend((
                        '<i>',
                        escape(environment.finalize(environment.getattr(l_3_line, 'name'))),
                        '</i> ',
                    ))
                if environment.getattr(l_3_line, 'href'):
                    pass
                    t_1.extend((
                        '<a href="',
                        escape(environment.finalize(environment.getattr(l_3_line, 'href'))),
                        '" rel="noreferrer">',
                        escape(environment.finalize(environment.getattr(l_3_line, 'text'))),
                        '</a>',
                    ))
                elif environment.getattr(l_3_line, 'hint'):
                    pass
                    t_1.extend((
                        '<span title="',
                        escape(environment.finalize(environment.getattr(l_3_line, 'hint'))),
                        '">',
                        escape(environment.finalize(environment.getattr(l_3_line, 'text'))),
                        '</span>',
                    ))
                else:
                    pass
                    t_1.append(
                        escape(environment.finalize(environment.getattr(l_3_line, 'text'))),
                    )
                t_1.append(
                    '</dd>',
                )
            l_3_line = missing
            t_1.append(
                '</div>\n',
            )
        l_2_row = missing
        return concat(t_1)
    context.exported_vars.add('rows')
    context.vars['rows'] = l_0_rows = Macro(environment, macro, 'rows', ('all',), False, False, False, context.eval_ctx.autoescape)
    def macro(l_1_all):
        t_2 = []
        if l_1_all is missing:
            l_1_all = undefined("parameter 'all' was not provided", name='all')
        pass
        for l_2_one in l_1_all:
            _loop_vars = {}
            pass
            t_2.extend((
                '<li class="',
                escape(environment.finalize(environment.getattr(l_2_one, 'kind'))),
                '">',
                escape(environment.finalize(environment.getitem({'failure': '✘', 'gap': '□', 'remark': '•'}, environment.getattr(l_2_one, 'kind')))),
                ' ',
            ))
            if environment.getattr(l_2_one, 'steps'):
                pass
                t_2.extend((
                    '<b>',
                    escape(environment.finalize(environment.getattr(l_2_one, 'steps'))),
                    '</b>: ',
                ))
            t_2.extend((
                escape(environment.finalize(environment.getattr(l_2_one, 'text'))),
                '</li>\n',
            ))
        l_2_one = missing
        return concat(t_2)
    context.exported_vars.add('findings')
    context.vars['findings'] = l_0_findings = Macro(environment, macro, 'findings', ('all',), False, False, False, context.eval_ctx.autoescape)
    yield '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<meta name="viewport" content="width=device-width, initial-scale=1">\n<meta name="color-scheme" content="light">\n<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; font-src data:; style-src \'unsafe-inline\'; base-uri \'none\'; form-action \'none\'">\n<title>'
    yield escape(environment.finalize((undefined(name='title') if l_0_title is missing else l_0_title)))
    yield '</title>\n<style>\n'
    yield escape(environment.finalize((undefined(name='css') if l_0_css is missing else l_0_css)))
    yield '\n'
    yield escape(environment.finalize((undefined(name='pages') if l_0_pages is missing else l_0_pages)))
    yield '\n</style>\n'
    if environment.getattr((undefined(name='look') if l_0_look is missing else l_0_look), 'css'):
        pass
        yield '<style>\n'
        yield escape(environment.finalize((undefined(name='own_css') if l_0_own_css is missing else l_0_own_css)))
        yield '\n</style>\n'
    yield '</head>\n<body>\n<main>\n'
    l_1_loop = missing
    for l_1_one, l_1_loop in LoopContext((undefined(name='all') if l_0_all is missing else l_0_all), undefined):
        _loop_vars = {}
        pass
        yield '<article class="certificate c'
        yield escape(environment.finalize(environment.getattr(l_1_loop, 'index')))
        yield '" aria-labelledby="title-'
        yield escape(environment.finalize(environment.getattr(l_1_loop, 'index')))
        yield '">\n<div class="head">\n  <div>\n    <h1 id="title-'
        yield escape(environment.finalize(environment.getattr(l_1_loop, 'index')))
        yield '">'
        yield escape(environment.finalize(environment.getattr((undefined(name='look') if l_0_look is missing else l_0_look), 'title')))
        yield '</h1>\n    <p class="of"><b>'
        yield escape(environment.finalize(environment.getattr(l_1_one, 'name')))
        yield '</b>'
        if environment.getattr(l_1_one, 'cell'):
            pass
            yield ' · '
            yield escape(environment.finalize(environment.getattr(l_1_one, 'cell')))
        yield '</p>\n'
        if environment.getattr(l_1_one, 'description'):
            pass
            yield '<p class="about">'
            yield escape(environment.finalize(environment.getattr(l_1_one, 'description')))
            yield '</p>'
        yield '\n  </div>\n'
        if environment.getattr((undefined(name='look') if l_0_look is missing else l_0_look), 'logo'):
            pass
            yield '<img src="'
            yield escape(environment.finalize(environment.getattr((undefined(name='look') if l_0_look is missing else l_0_look), 'logo')))
            yield '" alt="Logo">'
        yield '\n</div>\n<div class="ruling '
        yield escape(environment.finalize(environment.getattr(l_1_one, 'look')))
        yield '"><p class="word"><span aria-hidden="true">'
        yield escape(environment.finalize(environment.getattr(l_1_one, 'sign')))
        yield '</span> '
        yield escape(environment.finalize(environment.getattr(l_1_one, 'title')))
        yield '</p><p>'
        yield escape(environment.finalize(environment.getattr(l_1_one, 'statement')))
        yield '</p></div>\n'
        if environment.getattr(l_1_one, 'failures'):
            pass
            yield '<h2>Failed</h2>\n<ul class="findings">'
            yield escape(environment.finalize(context.call((undefined(name='findings') if l_0_findings is missing else l_0_findings), environment.getattr(l_1_one, 'failures'), _loop_vars=_loop_vars)))
            yield '</ul>\n'
        if environment.getattr(l_1_one, 'gaps'):
            pass
            yield '<h2>Missing for a complete test</h2>\n<ul class="findings">'
            yield escape(environment.finalize(context.call((undefined(name='findings') if l_0_findings is missing else l_0_findings), environment.getattr(l_1_one, 'gaps'), _loop_vars=_loop_vars)))
            yield '</ul>\n'
        yield '<h2>Unit and test</h2>\n<dl class="facts">'
        yield escape(environment.finalize(context.call((undefined(name='rows') if l_0_rows is missing else l_0_rows), environment.getattr(l_1_one, 'identity'), _loop_vars=_loop_vars)))
        yield escape(environment.finalize(context.call((undefined(name='rows') if l_0_rows is missing else l_0_rows), environment.getattr(l_1_one, 'info'), _loop_vars=_loop_vars)))
        yield '</dl>\n'
        if environment.getattr(l_1_one, 'measurements'):
            pass
            yield '<h2>Measurements</h2>\n<div class="scroll" tabindex="0" role="region" aria-label="Measurements of '
            yield escape(environment.finalize(environment.getattr(l_1_one, 'name')))
            yield ' '
            yield escape(environment.finalize(environment.getattr(l_1_one, 'cell')))
            yield '">\n<table class="measurements"><thead><tr><th scope="col">Step</th><th scope="col">Measurement</th><th scope="col" class="n">Value</th><th scope="col">Unit</th><th scope="col" class="n">Low</th><th scope="col" class="n">High</th>'
            if environment.getattr(l_1_one, 'has_margin'):
                pass
                yield '<th scope="col" class="n">Margin&nbsp;%</th>'
            yield '<th scope="col">Verdict</th></tr></thead><tbody>\n'
            for l_2_row in environment.getattr(l_1_one, 'measurements'):
                _loop_vars = {}
                pass
                yield '<tr class="'
                yield escape(environment.finalize(environment.getattr(l_2_row, 'verdict')))
                yield escape(environment.finalize((' mayfail' if environment.getattr(l_2_row, 'may_fail') else cond_expr_undefined("the inline if-expression on line 59 in 'certificate.html' evaluated to false and no else section was defined."))))
                yield '"><td class="stepname">'
                yield escape(environment.finalize(environment.getattr(l_2_row, 'step')))
                yield '</td><th scope="row" class="name">'
                yield escape(environment.finalize(environment.getattr(l_2_row, 'name')))
                if environment.getattr(l_2_row, 'item'):
                    pass
                    yield ' <span class="item">'
                    yield escape(environment.finalize(environment.getattr(l_2_row, 'item')))
                    yield '</span>'
                yield '</th><td class="'
                yield escape(environment.finalize(('text' if environment.getattr(environment.getattr(l_2_row, 'texts'), 'is_text') else 'n')))
                yield '" title="'
                yield escape(environment.finalize(environment.getattr(environment.getattr(l_2_row, 'texts'), 'exact')))
                yield '">'
                yield escape(environment.finalize(environment.getattr(environment.getattr(l_2_row, 'texts'), 'value')))
                yield '</td><td class="unit">'
                yield escape(environment.finalize(environment.getattr(environment.getattr(l_2_row, 'texts'), 'unit')))
                yield '</td>'
                if environment.getattr(environment.getattr(l_2_row, 'texts'), 'condition'):
                    pass
                    yield '<td class="condition" colspan="2">'
                    yield escape(environment.finalize(environment.getattr(environment.getattr(l_2_row, 'texts'), 'condition')))
                    yield '</td>'
                else:
                    pass
                    yield '<td class="n">'
                    yield escape(environment.finalize(environment.getattr(environment.getattr(l_2_row, 'texts'), 'low')))
                    yield '</td><td class="n">'
                    yield escape(environment.finalize(environment.getattr(environment.getattr(l_2_row, 'texts'), 'high')))
                    yield '</td>'
                if environment.getattr(l_1_one, 'has_margin'):
                    pass
                    yield '<td class="n">'
                    yield escape(environment.finalize(environment.getattr(environment.getattr(l_2_row, 'texts'), 'margin')))
                    yield '</td>'
                yield '<td class="verdict"><span aria-hidden="true">'
                yield escape(environment.finalize(environment.getattr(l_2_row, 'sign')))
                yield '</span> '
                yield escape(environment.finalize(environment.getattr(l_2_row, 'verdict')))
                yield escape(environment.finalize((' (may fail)' if (environment.getattr(l_2_row, 'may_fail') and (environment.getattr(l_2_row, 'verdict') in ('fail', 'unset'))) else cond_expr_undefined("the inline if-expression on line 59 in 'certificate.html' evaluated to false and no else section was defined."))))
                yield '</td></tr>\n'
            l_2_row = missing
            yield '</tbody></table>\n</div>\n'
            if environment.getattr(l_1_one, 'left_out'):
                pass
                yield '<p class="note">'
                yield escape(environment.finalize(environment.getattr(l_1_one, 'left_out')))
                yield ' more measurements that are within their limits or have none are not listed; the journal of the run has them.</p>'
            yield '\n'
            if environment.getattr(l_1_one, 'has_margin'):
                pass
                yield '<p class="note">Margin: distance to the nearest limit in percent of the range between both limits, or of the only limit; negative outside.</p>'
            yield '\n'
        if environment.getattr(l_1_one, 'remarks'):
            pass
            yield '<h2>Remarks</h2>\n<ul class="findings">'
            yield escape(environment.finalize(context.call((undefined(name='findings') if l_0_findings is missing else l_0_findings), environment.getattr(l_1_one, 'remarks'), _loop_vars=_loop_vars)))
            yield '</ul>\n'
        if environment.getattr(l_1_one, 'instruments'):
            pass
            yield '<h2>Instruments</h2>\n<table class="instruments"><thead><tr><th scope="col">Instrument</th><th scope="col">Identity (*IDN?)</th><th scope="col">Resource</th><th scope="col">Calibrated</th><th scope="col">Due</th></tr></thead><tbody>\n'
            for l_2_row in environment.getattr(l_1_one, 'instruments'):
                _loop_vars = {}
                pass
                yield '<tr><th scope="row" class="name">'
                yield escape(environment.finalize(environment.getattr(l_2_row, 'name')))
                yield '</th><td class="name">'
                yield escape(environment.finalize(environment.getattr(l_2_row, 'idn')))
                yield '</td><td class="name">'
                yield escape(environment.finalize(environment.getattr(l_2_row, 'resource')))
                yield '</td><td>'
                yield escape(environment.finalize(environment.getattr(l_2_row, 'calibrated')))
                yield '</td><td>'
                yield escape(environment.finalize(environment.getattr(l_2_row, 'due')))
                yield escape(environment.finalize((' (overdue)' if environment.getattr(l_2_row, 'overdue') else cond_expr_undefined("the inline if-expression on line 76 in 'certificate.html' evaluated to false and no else section was defined."))))
                yield '</td></tr>\n'
            l_2_row = missing
            yield '</tbody></table>\n'
        yield '<h2>Steps</h2>\n<ul class="steps">\n'
        for l_2_step in environment.getattr(l_1_one, 'steps'):
            _loop_vars = {}
            pass
            yield '<li class="'
            yield escape(environment.finalize(environment.getattr(l_2_step, 'look')))
            yield '"><span class="sign" aria-hidden="true">'
            yield escape(environment.finalize(environment.getattr(l_2_step, 'sign')))
            yield '</span><span class="name">'
            yield escape(environment.finalize(environment.getattr(l_2_step, 'name')))
            if (environment.getattr(l_2_step, 'state') != 'passed'):
                pass
                yield ' ('
                yield escape(environment.finalize(environment.getattr(l_2_step, 'state')))
                yield ')'
            yield '</span>'
            if environment.getattr(l_2_step, 'duration'):
                pass
                yield '<span class="took">'
                yield escape(environment.finalize(environment.getattr(l_2_step, 'duration')))
                yield '</span>'
            yield '</li>\n'
        l_2_step = missing
        yield '</ul>\n<h2>Test run</h2>\n<dl class="facts run">'
        yield escape(environment.finalize(context.call((undefined(name='rows') if l_0_rows is missing else l_0_rows), environment.getattr(l_1_one, 'test'), _loop_vars=_loop_vars)))
        yield '</dl>\n<div class="end">\n<div class="seal">'
        if environment.getattr(l_1_one, 'holds'):
            pass
            yield 'Sealed and unmodified: run '
            yield escape(environment.finalize(environment.getattr(l_1_one, 'run_id')))
            yield ' with '
            yield escape(environment.finalize(environment.getattr(l_1_one, 'proof')))
            yield '. Check: <code class="command">pytest-orchestrator verify '
            yield escape(environment.finalize(environment.getattr(l_1_one, 'run_id')))
            yield '</code><br>Seal <code>'
            yield escape(environment.finalize(environment.getattr(l_1_one, 'seal')))
            yield '</code>'
        else:
            pass
            yield 'The record of run <code>'
            yield escape(environment.finalize(environment.getattr(l_1_one, 'run_id')))
            yield '</code> is not proved by a seal'
            if environment.getattr(l_1_one, 'seal'):
                pass
                yield '; the last line of its journal has the hash <code>'
                yield escape(environment.finalize(environment.getattr(l_1_one, 'seal')))
                yield '</code>'
            yield '.'
        yield '</div>\n<div class="sign-off"><div><span>Tested by: name, signature</span><span>Date</span></div><div><span>Approved by: name, signature</span><span>Date</span></div></div>\n</div>\n</article>\n'
    l_1_loop = l_1_one = missing
    yield '</main>\n</body>\n</html>'

blocks = {}
debug_info = '1=18&2=23&3=28&6=81&7=86&8=91&18=112&20=114&21=116&23=118&25=121&31=125&32=129&35=133&36=137&37=144&40=150&43=156&44=164&46=167&48=169&50=172&53=175&54=178&56=181&57=185&58=189&59=193&63=238&65=244&68=248&70=251&72=253&75=256&76=260&82=274&83=278&87=297&89=299'
