"""`templates/certificate.html`, compiled by Jinja2 3.1.6."""

from pytest_orchestrator.reports.templating import LoopContext, TemplateRuntimeError, all_escaped, escaped, identity, internalcode, markup_join, missing, Environment as environment
name = 'certificate.html'

def root(context, missing=missing, environment=environment):
    resolve = context.resolve_or_missing
    undefined = environment.undefined
    concat = environment.concat
    l_0_title = resolve('title')
    l_0_css = resolve('css')
    l_0_pages = resolve('pages')
    l_0_look = resolve('look')
    l_0_own_css = resolve('own_css')
    l_0_all = resolve('all')
    l_0_rows = l_0_findings = missing
    try:
        t_1 = environment.filters['join']
    except KeyError:
        @internalcode
        def t_1(*unused):
            raise TemplateRuntimeError("No filter named 'join' found.")
    try:
        t_2 = environment.filters['length']
    except KeyError:
        @internalcode
        def t_2(*unused):
            raise TemplateRuntimeError("No filter named 'length' found.")
    try:
        t_3 = environment.filters['on_point']
    except KeyError:
        @internalcode
        def t_3(*unused):
            raise TemplateRuntimeError("No filter named 'on_point' found.")
    t_4 = []
    pass
    def macro(l_1_all):
        t_5 = []
        if l_1_all is missing:
            l_1_all = undefined("parameter 'all' was not provided", name='all')
        pass
        for l_2_row in l_1_all:
            pass
            v_0 = ((' missing' if l_2_row.is_missing else ''))
            v_1 = ((' wide' if l_2_row.is_wide else ''))
            v_2 = escaped(l_2_row.label)
            t_5.append(
                f'<div class="row{v_0}'
                f'{v_1}'
                f'"><dt>{v_2}'
                f'</dt>'
            )
            for l_3_line in l_2_row.lines:
                pass
                t_5.append(
                    f'<dd>'
                )
                if l_3_line.name:
                    pass
                    v_0 = escaped(l_3_line.name)
                    t_5.append(
                        f'<i>{v_0}'
                        f'</i> '
                    )
                if l_3_line.href:
                    pass
                    v_0, v_1 = all_escaped((l_3_line.href, l_3_line.text))
                    t_5.append(
                        f'<a href="{v_0}'
                        f'" rel="noreferrer">{v_1}'
                        f'</a>'
                    )
                elif l_3_line.hint:
                    pass
                    v_0, v_1 = all_escaped((l_3_line.hint, l_3_line.text))
                    t_5.append(
                        f'<span title="{v_0}'
                        f'">{v_1}'
                        f'</span>'
                    )
                else:
                    pass
                    v_0 = escaped(l_3_line.text)
                    t_5.append(
                        f'{v_0}'
                    )
                t_5.append(
                    f'</dd>'
                )
            l_3_line = missing
            t_5.append(
                f'</div>\n'
            )
        l_2_row = missing
        return concat(t_5)
    context.exported_vars.add('rows')
    context.vars['rows'] = l_0_rows = macro
    def macro(l_1_all):
        t_6 = []
        if l_1_all is missing:
            l_1_all = undefined("parameter 'all' was not provided", name='all')
        pass
        for l_2_one in l_1_all:
            pass
            v_0, v_1 = all_escaped((l_2_one.kind, {'failure': '✘', 'gap': '□', 'remark': '•'}[l_2_one.kind]))
            t_6.append(
                f'<li class="{v_0}'
                f'">{v_1}'
                f' '
            )
            if l_2_one.steps:
                pass
                v_0 = escaped(l_2_one.steps)
                t_6.append(
                    f'<b>{v_0}'
                    f'</b>: '
                )
            v_0 = escaped(l_2_one.text)
            t_6.append(
                f'{v_0}'
                f'</li>\n'
            )
        l_2_one = missing
        return concat(t_6)
    context.exported_vars.add('findings')
    context.vars['findings'] = l_0_findings = macro
    v_0, v_1, v_2 = all_escaped((l_0_title, l_0_css, l_0_pages))
    t_4.append(
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<meta name="viewport" content="width=device-width, initial-scale=1">\n<meta name="color-scheme" content="light">\n<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; font-src data:; style-src \'unsafe-inline\'; base-uri \'none\'; form-action \'none\'">\n<title>{v_0}'
        f'</title>\n<style>\n{v_1}'
        f'\n{v_2}'
        f'\n</style>\n'
    )
    if l_0_look.css:
        pass
        v_0 = escaped(l_0_own_css)
        t_4.append(
            f'<style>\n{v_0}'
            f'\n</style>\n'
        )
    t_4.append(
        f'</head>\n<body>\n<main>\n'
    )
    l_1_loop = missing
    for l_1_one, l_1_loop in LoopContext(l_0_all, undefined):
        l_1_decimals = missing
        pass
        v_0, v_1, v_2 = all_escaped((l_1_loop.index, l_0_look.title, l_1_one.name))
        t_4.append(
            f'<article class="certificate c{v_0}'
            f'" aria-labelledby="title-{v_0}'
            f'">\n<div class="head">\n  <div>\n    <h1 id="title-{v_0}'
            f'">{v_1}'
            f'</h1>\n    <p class="of"><b>{v_2}'
            f'</b>'
        )
        if l_1_one.cell:
            pass
            v_0 = escaped(l_1_one.cell)
            t_4.append(
                f' · {v_0}'
            )
        t_4.append(
            f'</p>\n'
        )
        if l_1_one.description:
            pass
            v_0 = escaped(l_1_one.description)
            t_4.append(
                f'<p class="about">{v_0}'
                f'</p>'
            )
        t_4.append(
            f'\n  </div>\n'
        )
        if l_0_look.logo:
            pass
            v_0 = escaped(l_0_look.logo)
            t_4.append(
                f'<img src="{v_0}'
                f'" alt="Logo">'
            )
        v_1 = ((' with-simulated' if l_1_one.simulated else ''))
        v_0, v_2, v_3 = all_escaped((l_1_one.look, l_1_one.sign, l_1_one.title))
        t_4.append(
            f'\n</div>\n<div class="ruling {v_0}'
            f'{v_1}'
            f'"><div><p class="word"><span aria-hidden="true">{v_2}'
            f'</span> {v_3}'
            f'</p>'
        )
        if l_1_one.others:
            pass
            v_0 = escaped(t_1(l_1_one.others, ', '))
            t_4.append(
                f'<p class="also">also {v_0}'
                f'</p>'
            )
        v_0 = escaped(l_1_one.statement)
        t_4.append(
            f'</div><div><p>{v_0}'
            f'</p>'
        )
        if l_1_one.simulated:
            pass
            v_0 = escaped(l_1_one.simulated)
            t_4.append(
                f'<p class="by">Simulated, no real instrument: <b>{v_0}'
                f'</b></p>'
            )
        t_4.append(
            f'</div></div>\n'
        )
        if l_1_one.failures:
            pass
            v_0 = (l_0_findings(l_1_one.failures))
            t_4.append(
                f'<h2>Failed</h2>\n<ul class="findings">{v_0}'
                f'</ul>\n'
            )
        if l_1_one.gaps:
            pass
            v_0 = (l_0_findings(l_1_one.gaps))
            t_4.append(
                f'<h2>Missing for a complete test</h2>\n<ul class="findings">{v_0}'
                f'</ul>\n'
            )
        v_0 = (l_0_rows(l_1_one.identity))
        v_1 = (l_0_rows(l_1_one.info))
        t_4.append(
            f'<h2>Unit and test</h2>\n<dl class="facts">{v_0}'
            f'{v_1}'
            f'</dl>\n'
        )
        if l_1_one.measurements:
            pass
            t_4.append(
                f'<h2>Measurements</h2>\n'
            )
            l_1_decimals = l_1_one.decimals
            v_3 = ((' plain' if (not l_1_one.has_margin) else ''))
            v_0, v_1, v_2 = all_escaped((l_1_one.name, (markup_join((' ', l_1_one.cell, )) if l_1_one.cell else ''), (markup_join((', certificate ', l_1_loop.index, )) if (t_2(l_0_all) > 1) else '')))
            t_4.append(
                f'<div class="scroll" tabindex="0" role="region" aria-label="Measurements of {v_0}'
                f'{v_1}'
                f'{v_2}'
                f'">\n<table class="measurements{v_3}'
                f'"><thead><tr><th scope="col" class="w-step">Step</th><th scope="col" class="w-name">Measurement</th><th scope="col" class="n w-value">Value</th><th scope="col" class="w-unit">Unit</th><th scope="col" class="n">Low</th><th scope="col" class="n">High</th>'
            )
            if l_1_one.has_margin:
                pass
                t_4.append(
                    f'<th scope="col" class="n">Margin&nbsp;%</th>'
                )
            t_4.append(
                f'<th scope="col" class="verdict w-verdict">Verdict</th></tr></thead><tbody>\n'
            )
            for l_2_row in l_1_one.measurements:
                pass
                v_1 = ((' mayfail' if l_2_row.may_fail else ''))
                v_2 = ((' same' if (not l_2_row.is_first) else ''))
                v_0, v_3, v_4 = all_escaped((l_2_row.verdict, l_2_row.step, l_2_row.name))
                t_4.append(
                    f'<tr class="{v_0}'
                    f'{v_1}'
                    f'"><td class="stepname{v_2}'
                    f'">{v_3}'
                    f'</td><th scope="row" class="name">{v_4}'
                )
                if l_2_row.item:
                    pass
                    v_0 = escaped(l_2_row.item)
                    t_4.append(
                        f' <span class="item">{v_0}'
                        f'</span>'
                    )
                t_4.append(
                    f'</th>'
                )
                if (l_2_row.texts.is_text and (not l_2_row.texts.unit)):
                    pass
                    v_0, v_1 = all_escaped((l_2_row.texts.exact, l_2_row.texts.value))
                    t_4.append(
                        f'<td colspan="2" title="{v_0}'
                        f'">{v_1}'
                        f'</td>'
                    )
                else:
                    pass
                    v_0, v_1, v_2 = all_escaped((l_2_row.texts.exact, (l_2_row.texts.value if l_2_row.texts.is_text else t_3(l_2_row.texts.value, l_1_decimals)), l_2_row.texts.unit))
                    t_4.append(
                        f'<td class="n" title="{v_0}'
                        f'">{v_1}'
                        f'</td><td>{v_2}'
                        f'</td>'
                    )
                if l_2_row.texts.condition:
                    pass
                    v_0, v_1 = all_escaped(((3 if l_1_one.has_margin else 2), l_2_row.texts.condition))
                    t_4.append(
                        f'<td colspan="{v_0}'
                        f'">{v_1}'
                        f'</td>'
                    )
                else:
                    pass
                    v_0, v_1 = all_escaped((t_3(l_2_row.texts.low, l_1_decimals), t_3(l_2_row.texts.high, l_1_decimals)))
                    t_4.append(
                        f'<td class="n">{v_0}'
                        f'</td><td class="n">{v_1}'
                        f'</td>'
                    )
                    if l_1_one.has_margin:
                        pass
                        v_0 = escaped(t_3(l_2_row.texts.margin, 2))
                        t_4.append(
                            f'<td class="n">{v_0}'
                            f'</td>'
                        )
                v_2 = ((' (may fail)' if (l_2_row.may_fail and (l_2_row.verdict in ('fail', 'unset'))) else ''))
                v_0, v_1 = all_escaped((l_2_row.sign, l_2_row.verdict))
                t_4.append(
                    f'<td class="verdict"><span aria-hidden="true">{v_0}'
                    f'</span> {v_1}'
                    f'{v_2}'
                    f'</td></tr>\n'
                )
            l_2_row = missing
            t_4.append(
                f'</tbody></table>\n</div>\n'
            )
            if l_1_one.left_out:
                pass
                v_0 = escaped(l_1_one.left_out)
                t_4.append(
                    f'<p class="note">{v_0}'
                    f' more measurements that are within their limits or have none are not listed; the journal of the run has them.</p>'
                )
            t_4.append(
                f'\n'
            )
            if l_1_one.has_margin:
                pass
                t_4.append(
                    f'<p class="note">Margin: distance to the nearest limit in percent of half the range between both limits, or of the only limit; negative outside.</p>'
                )
            t_4.append(
                f'\n'
            )
        if l_1_one.remarks:
            pass
            v_0 = (l_0_findings(l_1_one.remarks))
            t_4.append(
                f'<h2>Remarks</h2>\n<ul class="findings">{v_0}'
                f'</ul>\n'
            )
        if l_1_one.instruments:
            pass
            t_4.append(
                f'<h2>Instruments</h2>\n<table class="instruments"><thead><tr><th scope="col">Instrument</th><th scope="col">Identity (*IDN?)</th><th scope="col">Resource</th><th scope="col">Calibrated</th><th scope="col">Due</th></tr></thead><tbody>\n'
            )
            for l_2_row in l_1_one.instruments:
                pass
                v_5 = ((' (overdue)' if l_2_row.overdue else ''))
                v_0, v_1, v_2, v_3, v_4 = all_escaped((l_2_row.name, l_2_row.idn, l_2_row.resource, l_2_row.calibrated, l_2_row.due))
                t_4.append(
                    f'<tr><th scope="row" class="name">{v_0}'
                    f'</th><td class="name">{v_1}'
                    f'</td><td class="name">{v_2}'
                    f'</td><td>{v_3}'
                    f'</td><td>{v_4}'
                    f'{v_5}'
                    f'</td></tr>\n'
                )
            l_2_row = missing
            t_4.append(
                f'</tbody></table>\n'
            )
        v_0 = ((' many' if (t_2(l_1_one.steps) > 60) else ''))
        t_4.append(
            f'<h2>Steps</h2>\n<ul class="steps{v_0}'
            f'">\n'
        )
        for l_2_step in l_1_one.steps:
            pass
            v_0, v_1, v_2 = all_escaped((l_2_step.look, l_2_step.sign, l_2_step.name))
            t_4.append(
                f'<li class="{v_0}'
                f'"><span class="sign" aria-hidden="true">{v_1}'
                f'</span><span class="name">{v_2}'
            )
            if (l_2_step.state != 'passed'):
                pass
                v_0 = escaped(l_2_step.state)
                t_4.append(
                    f' ({v_0}'
                    f')'
                )
            t_4.append(
                f'</span>'
            )
            if l_2_step.duration:
                pass
                v_0 = escaped(l_2_step.duration)
                t_4.append(
                    f'<span class="took">{v_0}'
                    f'</span>'
                )
            t_4.append(
                f'</li>\n'
            )
        l_2_step = missing
        v_0 = (l_0_rows(l_1_one.test))
        t_4.append(
            f'</ul>\n<h2>Test run</h2>\n<dl class="facts run">{v_0}'
            f'</dl>\n<div class="end">\n<div class="seal">'
        )
        if l_1_one.holds:
            pass
            v_0, v_1, v_2 = all_escaped((l_1_one.proof, l_1_one.run_id, l_1_one.seal))
            t_4.append(
                f'Sealed and unmodified: {v_0}'
                f'. Check: <code class="command">pytest-orchestrator verify {v_1}'
                f'</code><br>Seal <code>{v_2}'
                f'</code>'
            )
        else:
            pass
            v_0 = escaped(l_1_one.run_id)
            t_4.append(
                f'The record of run <code>{v_0}'
                f'</code> is not proved by a seal'
            )
            if l_1_one.seal:
                pass
                v_0 = escaped(l_1_one.seal)
                t_4.append(
                    f'; the last line of its journal has the hash <code>{v_0}'
                    f'</code>'
                )
            t_4.append(
                f'.'
            )
        t_4.append(
            f'</div>\n<div class="sign-off"><div><span>Tested by: name, signature</span><span>Date</span></div><div><span>Approved by: name, signature</span><span>Date</span></div></div>\n</div>\n</article>\n'
        )
    l_1_loop = l_1_one = l_1_decimals = missing
    t_4.append(
        f'</main>\n</body>\n</html>'
    )
    yield concat(t_4)

blocks = {}
debug_info = '1=35&2=40&3=51&6=96&7=101&8=109&23=132&31=143&36=155&37=164&40=174&43=190&44=212&48=219&54=233&56=238&58=248&59=256&60=268&64=330&66=340&69=348&73=355&76=360&83=382&84=390&90=416'
