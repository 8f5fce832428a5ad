"""`templates/page.html`, compiled by Jinja2 3.1.6."""

from pytest_orchestrator.reports.templating import LoopContext, Markup, TemplateRuntimeError, Undefined, escape, internalcode, markup_join, missing, Environment as environment
name = 'page.html'

def root(context, missing=missing, environment=environment):
    resolve = context.resolve_or_missing
    undefined = environment.undefined
    concat = environment.concat
    cond_expr_undefined = Undefined
    if 0: yield None
    l_0_digest = resolve('digest')
    l_0_page = resolve('page')
    l_0_source = resolve('source')
    l_0_first = resolve('first')
    l_0_several = resolve('several')
    l_0_base = resolve('base')
    l_0_script = resolve('script')
    l_0_step_item = l_0_state = l_0_logs = l_0_measurements = l_0_elements = l_0_curves_over = l_0_timeline = l_0_context = missing
    try:
        t_1 = environment.filters['cut']
    except KeyError:
        @internalcode
        def t_1(*unused):
            raise TemplateRuntimeError("No filter named 'cut' found.")
    try:
        t_2 = environment.filters['default']
    except KeyError:
        @internalcode
        def t_2(*unused):
            raise TemplateRuntimeError("No filter named 'default' found.")
    try:
        t_3 = environment.filters['duration']
    except KeyError:
        @internalcode
        def t_3(*unused):
            raise TemplateRuntimeError("No filter named 'duration' found.")
    try:
        t_4 = environment.filters['format']
    except KeyError:
        @internalcode
        def t_4(*unused):
            raise TemplateRuntimeError("No filter named 'format' found.")
    try:
        t_5 = environment.filters['json_text']
    except KeyError:
        @internalcode
        def t_5(*unused):
            raise TemplateRuntimeError("No filter named 'json_text' found.")
    try:
        t_6 = environment.filters['length']
    except KeyError:
        @internalcode
        def t_6(*unused):
            raise TemplateRuntimeError("No filter named 'length' found.")
    try:
        t_7 = environment.filters['list']
    except KeyError:
        @internalcode
        def t_7(*unused):
            raise TemplateRuntimeError("No filter named 'list' found.")
    try:
        t_8 = environment.filters['moment']
    except KeyError:
        @internalcode
        def t_8(*unused):
            raise TemplateRuntimeError("No filter named 'moment' found.")
    try:
        t_9 = environment.filters['reverse']
    except KeyError:
        @internalcode
        def t_9(*unused):
            raise TemplateRuntimeError("No filter named 'reverse' found.")
    try:
        t_10 = environment.filters['safe']
    except KeyError:
        @internalcode
        def t_10(*unused):
            raise TemplateRuntimeError("No filter named 'safe' found.")
    try:
        t_11 = environment.filters['selectattr']
    except KeyError:
        @internalcode
        def t_11(*unused):
            raise TemplateRuntimeError("No filter named 'selectattr' found.")
    try:
        t_12 = environment.filters['string']
    except KeyError:
        @internalcode
        def t_12(*unused):
            raise TemplateRuntimeError("No filter named 'string' found.")
    try:
        t_13 = environment.filters['tojson']
    except KeyError:
        @internalcode
        def t_13(*unused):
            raise TemplateRuntimeError("No filter named 'tojson' found.")
    try:
        t_14 = environment.tests['defined']
    except KeyError:
        @internalcode
        def t_14(*unused):
            raise TemplateRuntimeError("No test named 'defined' found.")
    pass
    included_template = environment.get_template('step.html', 'page.html')._get_default_module(context)
    l_0_step_item = getattr(included_template, 'step_item', missing)
    if l_0_step_item is missing:
        l_0_step_item = undefined(f"the template {included_template.__name__!r} (imported on line 1 in 'page.html') does not export the requested name 'step_item'", name='step_item')
    l_0_state = getattr(included_template, 'state', missing)
    if l_0_state is missing:
        l_0_state = undefined(f"the template {included_template.__name__!r} (imported on line 1 in 'page.html') does not export the requested name 'state'", name='state')
    l_0_logs = getattr(included_template, 'logs', missing)
    if l_0_logs is missing:
        l_0_logs = undefined(f"the template {included_template.__name__!r} (imported on line 1 in 'page.html') does not export the requested name 'logs'", name='logs')
    l_0_measurements = getattr(included_template, 'measurements', missing)
    if l_0_measurements is missing:
        l_0_measurements = undefined(f"the template {included_template.__name__!r} (imported on line 1 in 'page.html') does not export the requested name 'measurements'", name='measurements')
    l_0_elements = getattr(included_template, 'elements', missing)
    if l_0_elements is missing:
        l_0_elements = undefined(f"the template {included_template.__name__!r} (imported on line 1 in 'page.html') does not export the requested name 'elements'", name='elements')
    l_0_curves_over = getattr(included_template, 'curves_over', missing)
    if l_0_curves_over is missing:
        l_0_curves_over = undefined(f"the template {included_template.__name__!r} (imported on line 1 in 'page.html') does not export the requested name 'curves_over'", name='curves_over')
    context.vars.update({'step_item': l_0_step_item, 'state': l_0_state, 'logs': l_0_logs, 'measurements': l_0_measurements, 'elements': l_0_elements, 'curves_over': l_0_curves_over})
    context.exported_vars.difference_update(('step_item', 'state', 'logs', 'measurements', 'elements', 'curves_over'))
    included_template = environment.get_template('timeline.html', 'page.html')._get_default_module(context)
    l_0_timeline = getattr(included_template, 'timeline', missing)
    if l_0_timeline is missing:
        l_0_timeline = undefined(f"the template {included_template.__name__!r} (imported on line 2 in 'page.html') does not export the requested name 'timeline'", name='timeline')
    context.vars['timeline'] = l_0_timeline
    context.exported_vars.discard('timeline')
    included_template = environment.get_template('context.html', 'page.html')._get_default_module(context)
    l_0_context = getattr(included_template, 'context', missing)
    if l_0_context is missing:
        l_0_context = undefined(f"the template {included_template.__name__!r} (imported on line 3 in 'page.html') does not export the requested name 'context'", name='context')
    context.vars['context'] = l_0_context
    context.exported_vars.discard('context')
    yield '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<meta name="viewport" content="width=device-width, initial-scale=1">\n<meta name="color-scheme" content="light dark">\n<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src \'self\' data: file:; style-src \'unsafe-inline\'; script-src \'sha256-'
    yield escape(environment.finalize((undefined(name='digest') if l_0_digest is missing else l_0_digest)))
    yield '\'; base-uri \'none\'; form-action \'none\'">\n<title>'
    yield escape(environment.finalize(environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'sign')))
    yield ' '
    yield escape(environment.finalize(environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'verdict')))
    yield ': run '
    yield escape(environment.finalize(environment.getattr(environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'run'), 'id')))
    yield '</title>\n<style>\n'
    yield escape(environment.finalize(context.call((undefined(name='source') if l_0_source is missing else l_0_source), 'uplot-1.6.32.min.css')))
    yield '\n'
    yield escape(environment.finalize(context.call((undefined(name='source') if l_0_source is missing else l_0_source), 'page.css')))
    yield '\n</style>\n</head>\n<body>\n<a class="skip" href="#steps">Skip to the steps</a>\n<header class="verdict '
    yield escape(environment.finalize(environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'look')))
    yield '">\n  <div class="inner">\n    <h1><span class="sign" aria-hidden="true">'
    yield escape(environment.finalize(environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'sign')))
    yield '</span> '
    yield escape(environment.finalize(environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'verdict')))
    yield '</h1>\n    <p class="counts">\n'
    for (l_1_word, l_1_number) in context.call(environment.getattr(environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'counts'), 'items')):
        _loop_vars = {}
        pass
        yield '      <span class="count">'
        yield escape(environment.finalize(context.call((undefined(name='state') if l_0_state is missing else l_0_state), l_1_word, _loop_vars=_loop_vars)))
        yield ' '
        yield escape(environment.finalize(l_1_number))
        yield '</span>\n'
    l_1_word = l_1_number = missing
    if environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'marginal'):
        pass
        yield '<span class="count">'
        yield escape(environment.finalize(context.call((undefined(name='state') if l_0_state is missing else l_0_state), 'marginal')))
        yield ' '
        yield escape(environment.finalize(environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'marginal')))
        yield '</span>'
    yield '\n'
    if environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'tests'):
        pass
        yield '<span class="count">'
        yield escape(environment.finalize(t_6(environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'tests'))))
        yield ' other pytest test'
        yield escape(environment.finalize(('s' if (t_6(environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'tests')) != 1) else cond_expr_undefined("the inline if-expression on line 28 in 'page.html' evaluated to false and no else section was defined."))))
        yield '</span>'
    yield '\n    </p>\n    <dl class="facts">\n      <div><dt>Duration</dt><dd>'
    yield escape(environment.finalize(t_3(environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'seconds'))))
    yield '</dd></div>\n      <div><dt>Started</dt><dd><time datetime="'
    yield escape(environment.finalize(environment.getattr(environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'run'), 'first')))
    yield '">'
    yield escape(environment.finalize(t_8(environment.getattr(environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'run'), 'first'))))
    yield '</time></dd></div>\n      <div><dt>Recipes</dt><dd>'
    yield escape(environment.finalize(t_6(environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'recipes'))))
    yield '</dd></div>\n'
    if (environment.getattr(environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'run'), 'started') and environment.getattr(environment.getattr(environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'run'), 'started'), 'host')):
        pass
        yield '<div><dt>Host</dt><dd>'
        yield escape(environment.finalize(t_1(environment.getattr(environment.getattr(environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'run'), 'started'), 'host'), 80)))
        yield '</dd></div>'
    yield '\n'
    if environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'revision'):
        pass
        yield '<div><dt>Revision</dt><dd>'
        yield escape(environment.finalize(environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'revision')))
        yield '</dd></div>'
    yield '\n'
    for (l_1_name, l_1_value) in context.call(environment.getattr(environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'meta'), 'items')):
        _loop_vars = {}
        pass
        yield '      <div><dt>'
        yield escape(environment.finalize(l_1_name))
        yield '</dt><dd>'
        yield escape(environment.finalize(l_1_value))
        yield '</dd></div>\n'
    l_1_name = l_1_value = missing
    yield '      <div><dt>Run</dt><dd><code>'
    yield escape(environment.finalize(environment.getattr(environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'run'), 'id')))
    yield '</code></dd></div>\n'
    if (environment.getattr(environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'run'), 'started') and environment.getattr(environment.getattr(environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'run'), 'started'), 'resumed_from')):
        pass
        yield '<div><dt>Resumed from</dt><dd><code>'
        yield escape(environment.finalize(t_1(environment.getattr(environment.getattr(environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'run'), 'started'), 'resumed_from'), 60)))
        yield '</code></dd></div>'
    yield '\n    </dl>\n    <nav aria-label="Sections">\n'
    if environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'recipes'):
        pass
        yield '<a href="#recipes">Recipes</a>'
        if environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'matrices'):
            pass
            yield ' <a href="#matrix">Matrix</a>'
        yield ' <a href="#steps">Steps</a>'
    yield '\n'
    if environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'tests'):
        pass
        yield '<a href="#tests">Tests</a>'
    yield '\n'
    if environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'contexts'):
        pass
        yield '<a href="#context">Context</a>'
    yield '\n'
    if environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'trends'):
        pass
        yield '<a href="#trends">History</a>'
    yield '\n'
    if environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'instruments'):
        pass
        yield '<a href="#instruments">Instruments</a>'
    yield '\n      <a href="#environment">Environment</a>\n    </nav>\n  </div>\n</header>\n<main>\n'
    if (((environment.getattr(environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'run'), 'state') in ('interrupted', 'damaged', 'running')) or environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'interrupted')) or (environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'verdict') == 'interrupted')):
        pass
        yield '<section class="notice" aria-labelledby="cut-head">\n  <h2 id="cut-head">'
        yield escape(environment.finalize(('!' if (environment.getattr(environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'run'), 'state') != 'running') else '▶')))
        yield ' '
        yield escape(environment.finalize(context.call(environment.getattr({'damaged': 'Journal was modified: results cannot be trusted', 'running': 'Run in progress'}, 'get'), environment.getattr(environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'run'), 'state'), 'Run interrupted')))
        yield '</h2>\n'
        t_15 = 1
        for l_1_step in environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'interrupted')[:20]:
            _loop_vars = {}
            pass
            yield '  <p><a href="#'
            yield escape(environment.finalize(environment.getattr(l_1_step, 'anchor')))
            yield '">'
            yield escape(environment.finalize(environment.getattr(l_1_step, 'name')))
            yield '</a> of '
            yield escape(environment.finalize(t_1(environment.getattr(environment.getattr(l_1_step, 'step'), 'recipe'), 200)))
            yield ' was running when the run stopped'
            if environment.getattr(environment.getattr(l_1_step, 'step'), 'started'):
                pass
                yield ' (started '
                yield escape(environment.finalize(t_8(environment.getattr(environment.getattr(l_1_step, 'step'), 'started'))))
                if (environment.getattr(environment.getattr(l_1_step, 'step'), 'attempt') > 1):
                    pass
                    yield ', attempt '
                    yield escape(environment.finalize(environment.getattr(environment.getattr(l_1_step, 'step'), 'attempt')))
                yield ')'
            yield ': '
            yield escape(environment.finalize(environment.getattr(l_1_step, 'reason')))
            yield '</p>\n  '
            yield escape(environment.finalize(context.call((undefined(name='logs') if l_0_logs is missing else l_0_logs), environment.getattr(l_1_step, 'logs'), _loop_vars=_loop_vars)))
            yield '\n'
            t_15 = 0
        l_1_step = missing
        if t_15:
            pass
            yield '  <p>No step was running.</p>\n'
        if environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'not_run'):
            pass
            yield '<p>'
            yield escape(environment.finalize(environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'not_run')))
            yield ' step'
            yield escape(environment.finalize(('s' if (environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'not_run') != 1) else cond_expr_undefined("the inline if-expression on line 71 in 'page.html' evaluated to false and no else section was defined."))))
            yield ' did not run'
            if (environment.getattr(environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'run'), 'finished') and environment.getattr(environment.getattr(environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'run'), 'finished'), 'reason')):
                pass
                yield ': '
                yield escape(environment.finalize(t_1(environment.getattr(environment.getattr(environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'run'), 'finished'), 'reason'), 300)))
            yield '.</p>'
        yield '\n  <p>Last event recorded: '
        yield escape(environment.finalize(t_8(environment.getattr(environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'run'), 'last'))))
        yield ' (line '
        yield escape(environment.finalize(environment.getattr(environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'run'), 'lines')))
        yield ' of the journal).</p>\n</section>\n'
    for l_1_file in environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'uncollected'):
        _loop_vars = {}
        pass
        yield '<section class="failure" aria-label="Collection error">\n  <h2>✘ '
        yield escape(environment.finalize(environment.getattr(l_1_file, 'path')))
        yield ' '
        yield escape(environment.finalize(('cannot be read (recipe error)' if environment.getattr(l_1_file, 'is_recipe') else 'could not be collected')))
        yield '</h2>\n  <pre class="text" tabindex="0">'
        yield escape(environment.finalize(environment.getattr(l_1_file, 'text')))
        yield '</pre>\n</section>\n'
    l_1_file = missing
    if environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'first_failure'):
        pass
        l_0_first = environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'first_failure')
        context.vars['first'] = l_0_first
        context.exported_vars.add('first')
        yield '<section class="failure" id="first-failure" aria-labelledby="first-head">\n  <h2 id="first-head">✘ First failure: <a href="#'
        yield escape(environment.finalize(environment.getattr((undefined(name='first') if l_0_first is missing else l_0_first), 'anchor')))
        yield '">'
        yield escape(environment.finalize(environment.getattr((undefined(name='first') if l_0_first is missing else l_0_first), 'name')))
        yield '</a> <span class="of">'
        yield escape(environment.finalize(t_1(environment.getattr(environment.getattr((undefined(name='first') if l_0_first is missing else l_0_first), 'step'), 'recipe'), 200)))
        if t_14(environment.getattr(environment.getattr((undefined(name='first') if l_0_first is missing else l_0_first), 'about'), 'line')):
            pass
            yield ':'
            yield escape(environment.finalize(environment.getattr(environment.getattr((undefined(name='first') if l_0_first is missing else l_0_first), 'about'), 'line')))
        yield '</span></h2>\n'
        if environment.getattr((undefined(name='first') if l_0_first is missing else l_0_first), 'reason'):
            pass
            yield '<p class="reason">'
            if environment.getattr((undefined(name='first') if l_0_first is missing else l_0_first), 'kind'):
                pass
                yield '<span class="kind">'
                yield escape(environment.finalize(t_1(environment.getattr((undefined(name='first') if l_0_first is missing else l_0_first), 'kind'), 60)))
                yield '</span> '
            yield escape(environment.finalize(environment.getattr((undefined(name='first') if l_0_first is missing else l_0_first), 'reason')))
            yield '</p>'
        yield '\n  '
        yield escape(environment.finalize(context.call((undefined(name='measurements') if l_0_measurements is missing else l_0_measurements), t_7(t_11(environment.getattr((undefined(name='first') if l_0_first is missing else l_0_first), 'measurements'), 'verdict', 'ne', 'pass')))))
        yield '\n'
        if environment.getattr((undefined(name='first') if l_0_first is missing else l_0_first), 'text'):
            pass
            yield '<pre class="text" tabindex="0">'
            yield escape(environment.finalize(environment.getattr((undefined(name='first') if l_0_first is missing else l_0_first), 'text')))
            yield '</pre>'
        yield '\n'
        if (not environment.getattr((undefined(name='first') if l_0_first is missing else l_0_first), 'text')):
            pass
            yield escape(environment.finalize(context.call((undefined(name='logs') if l_0_logs is missing else l_0_logs), environment.getattr((undefined(name='first') if l_0_first is missing else l_0_first), 'logs'))))
        yield '\n  <p class="command"><code>'
        yield escape(environment.finalize(environment.getattr((undefined(name='first') if l_0_first is missing else l_0_first), 'rerun_command')))
        yield '</code> <button type="button" class="copy" data-copy="'
        yield escape(environment.finalize(environment.getattr((undefined(name='first') if l_0_first is missing else l_0_first), 'rerun_command')))
        yield '">Copy</button></p>\n</section>\n'
    if environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'recipes'):
        pass
        yield '<section id="recipes" aria-labelledby="recipes-head">\n  <h2 id="recipes-head">'
        yield escape(environment.finalize(('Recipe' if (t_6(environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'recipes')) == 1) else 'Recipes')))
        yield '</h2>\n'
        l_1_loop = missing
        for l_1_one, l_1_loop in LoopContext(environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'recipes'), undefined):
            l_1_graph = resolve('graph')
            _loop_vars = {}
            pass
            yield '  <details class="recipe"'
            yield escape(environment.finalize((' open' if ((environment.getattr(l_1_loop, 'index') <= 10) or (environment.getattr(l_1_one, 'look') == 'failed')) else cond_expr_undefined("the inline if-expression on line 100 in 'page.html' evaluated to false and no else section was defined."))))
            yield '>\n    <summary><span class="state '
            yield escape(environment.finalize(environment.getattr(l_1_one, 'look')))
            yield '"><span aria-hidden="true">'
            yield escape(environment.finalize(environment.getattr(l_1_one, 'sign')))
            yield '</span> '
            yield escape(environment.finalize(environment.getattr(l_1_one, 'verdict')))
            yield '</span> <span class="name">'
            yield escape(environment.finalize(t_1(t_12(t_2(environment.getattr(environment.getattr(environment.getattr(l_1_one, 'recipe'), 'about'), 'name'), environment.getattr(environment.getattr(l_1_one, 'recipe'), 'key'))), 200)))
            yield '</span> <span class="of">'
            yield escape(environment.finalize(t_1(environment.getattr(environment.getattr(l_1_one, 'recipe'), 'key'), 300)))
            yield '</span></summary>\n'
            if environment.getattr(environment.getattr(environment.getattr(l_1_one, 'recipe'), 'about'), 'description'):
                pass
                yield '<p>'
                yield escape(environment.finalize(t_1(t_12(environment.getattr(environment.getattr(environment.getattr(l_1_one, 'recipe'), 'about'), 'description')), 600)))
                yield '</p>'
            yield '\n    <div'
            yield escape(environment.finalize((Markup(' class="side"') if ((environment.getattr(environment.getattr(l_1_one, 'graph'), 'width') <= 420) and environment.getattr(l_1_one, 'timeline')) else cond_expr_undefined("the inline if-expression on line 104 in 'page.html' evaluated to false and no else section was defined."))))
            yield '>\n    <div class="graph-box" tabindex="0" role="region" aria-label="Graph of '
            yield escape(environment.finalize(t_1(environment.getattr(environment.getattr(l_1_one, 'recipe'), 'key'), 200)))
            yield '">\n      '
            yield escape(environment.finalize(context.call((undefined(name='graph') if l_1_graph is missing else l_1_graph), environment.getattr(l_1_one, 'graph'), _loop_vars=_loop_vars)))
            yield '\n    </div>\n'
            if environment.getattr(l_1_one, 'timeline'):
                pass
                yield escape(environment.finalize(context.call((undefined(name='timeline') if l_0_timeline is missing else l_0_timeline), l_1_one, _loop_vars=_loop_vars)))
            yield '\n    </div>\n'
            if environment.getattr(l_1_one, 'left_out'):
                pass
                yield '<p class="quiet">Showing '
                yield escape(environment.finalize((t_6(environment.getattr(l_1_one, 'steps')) - environment.getattr(l_1_one, 'left_out'))))
                yield ' of '
                yield escape(environment.finalize(t_6(environment.getattr(l_1_one, 'steps'))))
                yield ' steps. Full graph: files in <code>assets/</code>.</p>'
            yield '\n'
            if environment.getattr(environment.getattr(environment.getattr(l_1_one, 'recipe'), 'about'), 'vars'):
                pass
                yield '    <details class="more"><summary>Vars</summary>\n      <table><thead><tr><th scope="col">Name</th><th scope="col">Value</th><th scope="col">Set by</th></tr></thead><tbody>\n'
                for (l_2_name, l_2_var) in context.call(environment.getattr(environment.getattr(environment.getattr(environment.getattr(l_1_one, 'recipe'), 'about'), 'vars'), 'items'), _loop_vars=_loop_vars):
                    _loop_vars = {}
                    pass
                    yield '      <tr><td>'
                    yield escape(environment.finalize(t_1(l_2_name, 100)))
                    yield '</td><td><code>'
                    yield escape(environment.finalize(t_5(environment.getattr(l_2_var, 'value'), environment.getattr(environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'budget'), 'value'))))
                    yield '</code></td><td>'
                    yield escape(environment.finalize(t_1(t_12(environment.getattr(l_2_var, 'origin')), 200)))
                    yield '</td></tr>\n'
                l_2_name = l_2_var = missing
                yield '      </tbody></table>\n    </details>\n'
            yield '  </details>\n'
        l_1_loop = l_1_one = l_1_graph = missing
        yield '</section>\n'
        if environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'matrices'):
            pass
            yield '<section id="matrix" aria-labelledby="matrix-head">\n  <h2 id="matrix-head">Measurements of the matrix</h2>\n'
            for l_1_one in environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'matrices'):
                _loop_vars = {}
                pass
                yield '  <h3>'
                yield escape(environment.finalize(environment.getattr(l_1_one, 'step')))
                yield ' <span class="of">'
                yield escape(environment.finalize(environment.getattr(l_1_one, 'recipe')))
                yield '</span></h3>\n  '
                yield escape(environment.finalize(context.call((undefined(name='curves_over') if l_0_curves_over is missing else l_0_curves_over), environment.getattr(l_1_one, 'curves'), _loop_vars=_loop_vars)))
                yield '\n  '
                yield escape(environment.finalize(context.call((undefined(name='elements') if l_0_elements is missing else l_0_elements), environment.getattr(l_1_one, 'cells'), None, _loop_vars=_loop_vars)))
                yield '\n'
            l_1_one = missing
            yield '</section>\n'
        yield '<section id="steps" aria-labelledby="steps-head">\n  <h2 id="steps-head">Steps <span class="shown quiet" aria-live="polite"></span></h2>\n  <div class="controls scripted-only" role="group" aria-label="Filter and sort">\n    <input type="search" class="find" placeholder="Search name, reason, key" aria-label="Search the steps">\n    <span class="states">\n'
        for (l_1_word, l_1_number) in context.call(environment.getattr(environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'counts'), 'items')):
            _loop_vars = {}
            pass
            yield '    <button type="button" aria-pressed="false" data-state="'
            yield escape(environment.finalize(l_1_word))
            yield '">'
            yield escape(environment.finalize(context.call((undefined(name='state') if l_0_state is missing else l_0_state), l_1_word, _loop_vars=_loop_vars)))
            yield ' '
            yield escape(environment.finalize(l_1_number))
            yield '</button>\n'
        l_1_word = l_1_number = missing
        yield '    </span>\n'
        if environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'tags'):
            pass
            yield '    <select id="tag" aria-label="Tag"><option value="">all tags</option>'
            for l_1_tag in environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'tags'):
                _loop_vars = {}
                pass
                yield '<option>'
                yield escape(environment.finalize(l_1_tag))
                yield '</option>'
            l_1_tag = missing
            yield '</select>\n'
        if (t_6(environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'recipes')) > 1):
            pass
            yield '    <select id="of" aria-label="Recipe"><option value="">all recipes</option>'
            l_1_loop = missing
            for l_1_one, l_1_loop in LoopContext(environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'recipes'), undefined):
                _loop_vars = {}
                pass
                yield '<option value="'
                yield escape(environment.finalize(environment.getattr(l_1_loop, 'index0')))
                yield '">'
                yield escape(environment.finalize(t_1(environment.getattr(environment.getattr(l_1_one, 'recipe'), 'key'), 120)))
                yield '</option>'
            l_1_loop = l_1_one = missing
            yield '</select>\n'
        yield '  </div>\n  <div class="row head">\n'
        for (l_1_name, l_1_word) in [('order', 'Step'), ('state', 'State'), ('seconds', 'Seconds'), ('cpu', 'CPU s'), ('peak', 'Peak MB'), ('wrote', 'Context keys written')]:
            _loop_vars = {}
            pass
            yield '    <span class="c-'
            yield escape(environment.finalize(('name' if (l_1_name == 'order') else l_1_name)))
            yield '"><button type="button" class="sort" data-sort="'
            yield escape(environment.finalize(l_1_name))
            yield '">'
            yield escape(environment.finalize(l_1_word))
            yield '</button></span>\n'
        l_1_name = l_1_word = missing
        yield '  </div>\n'
        if environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'unlisted'):
            pass
            yield '<p class="quiet">Showing '
            yield escape(environment.finalize((t_6(environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'steps')) - environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'unlisted'))))
            yield ' of '
            yield escape(environment.finalize(t_6(environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'steps'))))
            yield ' steps; <code>pytest-orchestrator monitor</code> lists all.</p>'
        yield '  <div class="list'
        yield escape(environment.finalize((' many' if (t_6(environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'steps')) > 300) else cond_expr_undefined("the inline if-expression on line 157 in 'page.html' evaluated to false and no else section was defined."))))
        yield '">\n'
        l_0_several = (t_6(environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'recipes')) > 1)
        context.vars['several'] = l_0_several
        context.exported_vars.add('several')
        l_1_loop = missing
        for l_1_one, l_1_loop in LoopContext(environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'recipes'), undefined):
            l_1_number = missing
            _loop_vars = {}
            pass
            l_1_number = environment.getattr(l_1_loop, 'index0')
            _loop_vars['number'] = l_1_number
            for l_2_step in environment.getitem(environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'listed'), (undefined(name='number') if l_1_number is missing else l_1_number)):
                _loop_vars = {}
                pass
                yield '  '
                yield escape(environment.finalize(context.call((undefined(name='step_item') if l_0_step_item is missing else l_0_step_item), l_2_step, (undefined(name='number') if l_1_number is missing else l_1_number), (undefined(name='several') if l_0_several is missing else l_0_several), _loop_vars=_loop_vars)))
                yield '\n'
            l_2_step = missing
        l_1_loop = l_1_one = l_1_number = missing
        yield '  </div>\n</section>\n'
    if environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'tests'):
        pass
        yield '<section id="tests" aria-labelledby="tests-head">\n  <h2 id="tests-head">Other pytest tests</h2>\n  <div class="scroll" tabindex="0"><table><thead><tr><th scope="col">State</th><th scope="col">Test</th><th scope="col" class="number">Seconds</th><th scope="col">Reason</th></tr></thead><tbody>\n'
        for l_1_test in environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'tests'):
            _loop_vars = {}
            pass
            yield '  <tr><td>'
            yield escape(environment.finalize(context.call((undefined(name='state') if l_0_state is missing else l_0_state), environment.getattr(l_1_test, 'outcome'), _loop_vars=_loop_vars)))
            yield '</td><td class="wide">'
            yield escape(environment.finalize(t_1(environment.getattr(l_1_test, 'node'), 400)))
            yield '</td><td class="number">'
            yield escape(environment.finalize(t_4('%.2f', environment.getattr(l_1_test, 'seconds'))))
            yield '</td><td class="wide">'
            yield escape(environment.finalize(t_1(environment.getattr(l_1_test, 'reason'), 300)))
            yield '</td></tr>\n'
        l_1_test = missing
        yield '  </tbody></table></div>\n'
        for l_1_test in t_7(t_11(environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'tests'), 'text'))[:50]:
            _loop_vars = {}
            pass
            yield '  <details class="more"><summary>'
            yield escape(environment.finalize(context.call((undefined(name='state') if l_0_state is missing else l_0_state), environment.getattr(l_1_test, 'outcome'), _loop_vars=_loop_vars)))
            yield ' '
            yield escape(environment.finalize(t_1(environment.getattr(l_1_test, 'node'), 400)))
            yield '</summary><pre class="text" tabindex="0">'
            yield escape(environment.finalize(t_1(environment.getattr(l_1_test, 'text'), environment.getattr(environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'budget'), 'text'))))
            yield '</pre></details>\n'
        l_1_test = missing
        yield '</section>\n'
    if environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'contexts'):
        pass
        yield '<section id="context" aria-labelledby="context-head">\n  <h2 id="context-head">Final Context</h2>\n'
        for l_1_one in environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'contexts'):
            _loop_vars = {}
            pass
            if environment.getattr(l_1_one, 'scope'):
                pass
                yield '<h3>Context of '
                yield escape(environment.finalize(t_1(environment.getattr(l_1_one, 'scope'), 300)))
                yield '</h3>'
            yield '\n  '
            yield escape(environment.finalize(context.call((undefined(name='context') if l_0_context is missing else l_0_context), l_1_one, _loop_vars=_loop_vars)))
            yield '\n'
        l_1_one = missing
        yield '</section>\n'
    if environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'trends'):
        pass
        yield '<section id="trends" aria-labelledby="trends-head">\n  <h2 id="trends-head">History (last 20 runs)</h2>\n  <div class="trends">\n'
        l_1_loop = missing
        for l_1_one, l_1_loop in LoopContext(environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'trends'), undefined):
            _loop_vars = {}
            pass
            yield '  <figure><figcaption>'
            yield escape(environment.finalize(t_1(environment.getattr(l_1_one, 'name'), 160)))
            yield '<span class="quiet"> '
            yield escape(environment.finalize(t_1(environment.getattr(l_1_one, 'unit'), 20)))
            yield '</span></figcaption>\n    <div class="trend" data-trend="'
            yield escape(environment.finalize(environment.getattr(l_1_loop, 'index0')))
            yield '"></div>\n    <details class="more"><summary>'
            yield escape(environment.finalize(t_6(environment.getattr(l_1_one, 'points'))))
            yield ' runs</summary><table><thead><tr><th scope="col">Run</th><th scope="col">State</th><th scope="col" class="number">'
            yield escape(environment.finalize(t_1(environment.getattr(l_1_one, 'unit'), 20)))
            yield '</th></tr></thead><tbody>\n'
            for l_2_point in t_9(environment.getattr(l_1_one, 'points')):
                _loop_vars = {}
                pass
                yield '    <tr><td><code>'
                yield escape(environment.finalize(t_1(environment.getattr(l_2_point, 'run'), 40)))
                yield '</code></td><td>'
                yield escape(environment.finalize(context.call((undefined(name='state') if l_0_state is missing else l_0_state), ('passed' if environment.getattr(l_2_point, 'passed') else 'failed'), _loop_vars=_loop_vars)))
                yield '</td><td class="number">'
                yield escape(environment.finalize(t_4('%.6g', environment.getattr(l_2_point, 'value'))))
                yield '</td></tr>\n'
            l_2_point = missing
            yield '    </tbody></table></details>\n  </figure>\n'
        l_1_loop = l_1_one = missing
        yield '  </div>\n</section>\n'
    if environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'instruments'):
        pass
        yield '<section id="instruments" aria-labelledby="instruments-head">\n  <h2 id="instruments-head">Instruments</h2>\n  <div class="scroll" tabindex="0"><table><thead><tr><th scope="col">Name</th><th scope="col">Identity (*IDN?)</th><th scope="col">Resource</th><th scope="col">Calibrated</th><th scope="col">Calibration due</th><th scope="col">Safe state</th></tr></thead><tbody>\n'
        for l_1_one in environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'instruments'):
            _loop_vars = {}
            pass
            yield '  <tr><td>'
            yield escape(environment.finalize(t_1(environment.getattr(l_1_one, 'name'), 100)))
            yield '</td><td>'
            yield escape(environment.finalize(t_1((environment.getattr(l_1_one, 'idn') or 'none'), 200)))
            yield '</td><td><code>'
            yield escape(environment.finalize(t_1(environment.getattr(l_1_one, 'resource'), 200)))
            yield '</code></td><td>'
            yield escape(environment.finalize(environment.getattr(l_1_one, 'calibrated')))
            yield '</td><td>'
            if environment.getattr(l_1_one, 'overdue'):
                pass
                yield '<span class="state failed"><span aria-hidden="true">✘</span> '
                yield escape(environment.finalize(environment.getattr(l_1_one, 'due')))
                yield ' (overdue)</span>'
            else:
                pass
                yield escape(environment.finalize(environment.getattr(l_1_one, 'due')))
            yield '</td><td>'
            if (environment.getattr(l_1_one, 'safe_state') in ('not reached', 'owed')):
                pass
                yield '<span class="state failed"><span aria-hidden="true">✘</span> '
                yield escape(environment.finalize(environment.getattr(l_1_one, 'safe_state')))
                yield '</span>'
                yield escape(environment.finalize((markup_join((': ', t_1(environment.getattr(l_1_one, 'reason'), 300), )) if environment.getattr(l_1_one, 'reason') else cond_expr_undefined("the inline if-expression on line 213 in 'page.html' evaluated to false and no else section was defined."))))
            else:
                pass
                yield escape(environment.finalize(environment.getattr(l_1_one, 'safe_state')))
            yield '</td></tr>\n'
        l_1_one = missing
        yield '  </tbody></table></div>\n</section>\n'
    yield '<section id="environment" aria-labelledby="environment-head">\n  <h2 id="environment-head">Environment and digests</h2>\n  <p class="command"><code>'
    yield escape(environment.finalize(environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'command')))
    yield '</code></p>\n  <div class="scroll" tabindex="0"><table><tbody>\n'
    if environment.getattr(environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'run'), 'started'):
        pass
        yield '<tr><th scope="row">Root folder</th><td class="wide">'
        yield escape(environment.finalize(t_1(environment.getattr(environment.getattr(environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'run'), 'started'), 'root'), 500)))
        yield '</td></tr>'
    yield '\n'
    if environment.getattr(environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'run'), 'finished'):
        pass
        yield '<tr><th scope="row">Exit status</th><td>'
        yield escape(environment.finalize(environment.getattr(environment.getattr(environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'run'), 'finished'), 'exit_status')))
        yield escape(environment.finalize((markup_join((': ', t_1(environment.getattr(environment.getattr(environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'run'), 'finished'), 'reason'), 300), )) if environment.getattr(environment.getattr(environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'run'), 'finished'), 'reason') else cond_expr_undefined("the inline if-expression on line 224 in 'page.html' evaluated to false and no else section was defined."))))
        yield '</td></tr>'
    yield '\n'
    for (l_1_name, l_1_value) in context.call(environment.getattr(environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'environment'), 'items')):
        _loop_vars = {}
        pass
        yield '  <tr><th scope="row">'
        yield escape(environment.finalize(l_1_name))
        yield '</th><td class="wide">'
        yield escape(environment.finalize(l_1_value))
        yield '</td></tr>\n'
    l_1_name = l_1_value = missing
    yield '  </tbody></table></div>\n'
    for l_1_one in environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'recipes'):
        _loop_vars = {}
        pass
        if (environment.getattr(environment.getattr(environment.getattr(l_1_one, 'recipe'), 'about'), 'sha256') or environment.getattr(environment.getattr(l_1_one, 'recipe'), 'digests')):
            pass
            yield '  <details class="more"><summary>SHA-256 of '
            yield escape(environment.finalize(t_1(environment.getattr(environment.getattr(l_1_one, 'recipe'), 'key'), 300)))
            yield ' and the files of its steps</summary><div class="scroll" tabindex="0"><table><tbody>\n  <tr><th scope="row">'
            yield escape(environment.finalize(t_1(t_12(t_2(environment.getattr(environment.getattr(environment.getattr(l_1_one, 'recipe'), 'about'), 'path'), environment.getattr(environment.getattr(l_1_one, 'recipe'), 'key'))), 300)))
            yield '</th><td><code>'
            yield escape(environment.finalize(t_2(environment.getattr(environment.getattr(environment.getattr(l_1_one, 'recipe'), 'about'), 'sha256'), '')))
            yield '</code></td></tr>\n'
            for (l_2_path, l_2_digest) in context.call(environment.getattr(environment.getattr(environment.getattr(l_1_one, 'recipe'), 'digests'), 'items'), _loop_vars=_loop_vars):
                _loop_vars = {}
                pass
                yield '  <tr><th scope="row">'
                yield escape(environment.finalize(t_1(l_2_path, 300)))
                yield '</th><td><code>'
                yield escape(environment.finalize(l_2_digest))
                yield '</code></td></tr>\n'
            l_2_path = l_2_digest = missing
            yield '  </tbody></table></div></details>\n'
    l_1_one = missing
    yield '</section>\n</main>\n<footer class="quiet">Made by pytest-orchestrator from the <a href="'
    yield escape(environment.finalize((undefined(name='base') if l_0_base is missing else l_0_base)))
    yield 'journal.jsonl">journal</a> of the run, '
    yield escape(environment.finalize(environment.getattr(environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'run'), 'lines')))
    yield ' lines.</footer>\n<script type="application/json" id="data">'
    yield escape(environment.finalize(t_13({'curves': environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'curves'), 'trends': environment.getattr((undefined(name='page') if l_0_page is missing else l_0_page), 'trends')})))
    yield '</script>\n<script>'
    yield escape(environment.finalize((undefined(name='script') if l_0_script is missing else l_0_script)))
    yield '</script>\n</body>\n</html>'

blocks = {}
debug_info = '1=103&2=124&3=130&10=137&11=139&13=145&14=147&19=149&21=151&23=155&24=159&26=164&28=172&32=180&33=182&34=186&35=188&37=194&39=200&40=204&42=210&43=212&47=218&49=226&51=230&53=234&55=238&62=242&64=245&65=250&66=254&67=272&71=279&73=292&76=296&78=300&79=304&82=307&83=309&85=313&86=323&88=334&89=336&91=342&93=346&96=350&98=353&99=356&100=361&101=363&102=373&104=379&105=381&106=383&108=385&111=389&113=397&116=400&117=404&125=415&128=418&129=422&130=426&131=428&140=433&141=437&144=445&145=448&147=456&148=460&152=471&153=475&156=483&157=491&158=493&159=497&160=501&161=503&162=507&168=512&172=515&173=519&176=529&177=533&181=541&184=544&185=547&187=553&191=557&195=561&196=565&197=569&198=571&199=575&200=579&208=589&212=592&213=596&220=626&222=628&224=634&226=641&227=645&230=651&231=654&232=657&233=659&234=663&235=667&242=675&243=679&244=681'
