"""`templates/page.html`, compiled by Jinja2 3.1.6."""

from pytest_orchestrator.reports.templating import LoopContext, Markup, TemplateRuntimeError, all_escaped, escaped, internalcode, markup_join, missing, Environment as environment
name = 'page.html'

def root(context, missing=missing, environment=environment):
    resolve = context.resolve_or_missing
    undefined = environment.undefined
    concat = environment.concat
    l_0_digest = resolve('digest')
    l_0_page = resolve('page')
    l_0_brand = resolve('brand')
    l_0_icon = resolve('icon')
    l_0_source = resolve('source')
    l_0_own_css = resolve('own_css')
    l_0_overview = resolve('overview')
    l_0_first = resolve('first')
    l_0_shown = resolve('shown')
    l_0_table = resolve('table')
    l_0_decimals = resolve('decimals')
    l_0_lazy = resolve('lazy')
    l_0_several = resolve('several')
    l_0_history = resolve('history')
    l_0_trends = resolve('trends')
    l_0_base = resolve('base')
    l_0_script = resolve('script')
    l_0_step_item = l_0_state = l_0_rest = l_0_verdict = l_0_logs = l_0_measurements = l_0_elements = l_0_curves_over = l_0_timeline = l_0_run_timeline = l_0_context = missing
    try:
        t_1 = environment.filters['cut']
    except KeyError:
        @internalcode
        def t_1(*unused):
            raise TemplateRuntimeError("No filter named 'cut' found.")
    try:
        t_2 = environment.filters['duration']
    except KeyError:
        @internalcode
        def t_2(*unused):
            raise TemplateRuntimeError("No filter named 'duration' found.")
    try:
        t_3 = environment.filters['json_text']
    except KeyError:
        @internalcode
        def t_3(*unused):
            raise TemplateRuntimeError("No filter named 'json_text' found.")
    try:
        t_4 = environment.filters['length']
    except KeyError:
        @internalcode
        def t_4(*unused):
            raise TemplateRuntimeError("No filter named 'length' found.")
    try:
        t_5 = environment.filters['list']
    except KeyError:
        @internalcode
        def t_5(*unused):
            raise TemplateRuntimeError("No filter named 'list' found.")
    try:
        t_6 = environment.filters['moment']
    except KeyError:
        @internalcode
        def t_6(*unused):
            raise TemplateRuntimeError("No filter named 'moment' found.")
    try:
        t_7 = environment.filters['on_point']
    except KeyError:
        @internalcode
        def t_7(*unused):
            raise TemplateRuntimeError("No filter named 'on_point' found.")
    try:
        t_8 = environment.filters['safe']
    except KeyError:
        @internalcode
        def t_8(*unused):
            raise TemplateRuntimeError("No filter named 'safe' found.")
    try:
        t_9 = environment.filters['selectattr']
    except KeyError:
        @internalcode
        def t_9(*unused):
            raise TemplateRuntimeError("No filter named 'selectattr' found.")
    try:
        t_10 = environment.filters['string']
    except KeyError:
        @internalcode
        def t_10(*unused):
            raise TemplateRuntimeError("No filter named 'string' found.")
    try:
        t_11 = environment.filters['tojson']
    except KeyError:
        @internalcode
        def t_11(*unused):
            raise TemplateRuntimeError("No filter named 'tojson' found.")
    try:
        t_12 = environment.filters['utc']
    except KeyError:
        @internalcode
        def t_12(*unused):
            raise TemplateRuntimeError("No filter named 'utc' found.")
    t_13 = []
    pass
    included_template = environment.get_template('step.html', 'page.html')._get_default_module(context)
    l_0_step_item = getattr(included_template, 'step_item', missing)
    if l_0_step_item is missing:
        l_0_step_item = undefined(f"the template {included_template.__name__!r} (imported on line 1 in 'page.html') does not export the requested name 'step_item'", name='step_item')
    l_0_state = getattr(included_template, 'state', missing)
    if l_0_state is missing:
        l_0_state = undefined(f"the template {included_template.__name__!r} (imported on line 1 in 'page.html') does not export the requested name 'state'", name='state')
    l_0_rest = getattr(included_template, 'rest', missing)
    if l_0_rest is missing:
        l_0_rest = undefined(f"the template {included_template.__name__!r} (imported on line 1 in 'page.html') does not export the requested name 'rest'", name='rest')
    l_0_verdict = getattr(included_template, 'verdict', missing)
    if l_0_verdict is missing:
        l_0_verdict = undefined(f"the template {included_template.__name__!r} (imported on line 1 in 'page.html') does not export the requested name 'verdict'", name='verdict')
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
    context.vars.update({'step_item': l_0_step_item, 'state': l_0_state, 'rest': l_0_rest, 'verdict': l_0_verdict, 'logs': l_0_logs, 'measurements': l_0_measurements, 'elements': l_0_elements, 'curves_over': l_0_curves_over})
    context.exported_vars.difference_update(('step_item', 'state', 'rest', 'verdict', 'logs', 'measurements', 'elements', 'curves_over'))
    included_template = environment.get_template('timeline.html', 'page.html')._get_default_module(context)
    l_0_timeline = getattr(included_template, 'timeline', missing)
    if l_0_timeline is missing:
        l_0_timeline = undefined(f"the template {included_template.__name__!r} (imported on line 2 in 'page.html') does not export the requested name 'timeline'", name='timeline')
    l_0_run_timeline = getattr(included_template, 'run_timeline', missing)
    if l_0_run_timeline is missing:
        l_0_run_timeline = undefined(f"the template {included_template.__name__!r} (imported on line 2 in 'page.html') does not export the requested name 'run_timeline'", name='run_timeline')
    context.vars.update({'timeline': l_0_timeline, 'run_timeline': l_0_run_timeline})
    context.exported_vars.difference_update(('timeline', 'run_timeline'))
    included_template = environment.get_template('context.html', 'page.html')._get_default_module(context)
    l_0_context = getattr(included_template, 'context', missing)
    if l_0_context is missing:
        l_0_context = undefined(f"the template {included_template.__name__!r} (imported on line 3 in 'page.html') does not export the requested name 'context'", name='context')
    context.vars['context'] = l_0_context
    context.exported_vars.discard('context')
    v_5 = (l_0_icon)
    v_0, v_1, v_2, v_3, v_4, v_6, v_7 = all_escaped((l_0_digest, l_0_page.sign, l_0_page.verdict, (markup_join((l_0_brand.title, ', ', )) if (l_0_brand and l_0_brand.title) else ''), l_0_page.run.id, l_0_source('uplot-1.6.32.min.css'), l_0_source('page.css')))
    t_13.append(
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<meta name="viewport" content="width=device-width, initial-scale=1">\n<meta name="color-scheme" content="light dark">\n<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src \'self\' data: file:; style-src \'unsafe-inline\'; script-src \'sha256-{v_0}'
        f'\'; base-uri \'none\'; form-action \'none\'">\n<title>{v_1}'
        f' {v_2}'
        f': {v_3}'
        f'run {v_4}'
        f'</title>\n<link rel="icon" href="{v_5}'
        f'">\n<style>\n{v_6}'
        f'\n{v_7}'
        f'\n</style>\n'
    )
    if l_0_own_css:
        pass
        v_0 = escaped(l_0_own_css)
        t_13.append(
            f'<style>\n{v_0}'
            f'\n</style>\n'
        )
    t_13.append(
        f'</head>\n<body>\n'
    )
    if l_0_page.first_failure:
        pass
        v_0 = (l_0_page.first_failure.anchor)
        t_13.append(
            f'<a class="skip" href="#{v_0}'
            f'">Skip to the first failed step</a>'
        )
    v_0 = escaped(l_0_page.look)
    t_13.append(
        f'\n<a class="skip" href="#steps">Skip to the steps</a>\n<header class="verdict {v_0}'
        f'">\n  <div class="inner">\n'
    )
    if (l_0_brand and (l_0_brand.title or l_0_brand.logo)):
        pass
        t_13.append(
            f'<p class="brand">'
        )
        if l_0_brand.logo:
            pass
            v_0 = escaped(l_0_brand.logo)
            t_13.append(
                f'<img src="{v_0}'
                f'" alt="Logo">'
            )
        v_0 = escaped(l_0_brand.title)
        t_13.append(
            f' {v_0}'
            f'</p>'
        )
    v_0, v_1 = all_escaped((l_0_page.sign, l_0_page.verdict))
    t_13.append(
        f'\n    <h1><span class="sign" aria-hidden="true">{v_0}'
        f'</span> {v_1}'
    )
    if l_0_page.cause:
        pass
        v_0 = escaped(l_0_page.cause)
        t_13.append(
            f' <span class="of">({v_0}'
            f')</span>'
        )
    t_13.append(
        f'</h1>\n'
    )
    if l_0_page.counts:
        pass
        v_1 = (('s' if (l_0_page.counts.total() != 1) else ''))
        v_0 = escaped(l_0_page.counts.total())
        t_13.append(
            f'    <p class="counts"><span class="quiet">{v_0}'
            f' step{v_1}'
            f':</span>\n'
        )
        for (l_1_word, l_1_number) in l_0_page.counts.items():
            pass
            v_0 = (l_0_state(l_1_word))
            v_1 = escaped(l_1_number)
            t_13.append(
                f'      <span class="count">{v_0}'
                f' {v_1}'
                f'</span>\n'
            )
        l_1_word = l_1_number = missing
        if l_0_page.sampled:
            pass
            t_13.append(
                f'<span class="quiet">sampled:</span>'
            )
            for (l_1_word, l_1_number) in l_0_page.sampled.items():
                pass
                v_0 = (l_0_state(l_1_word))
                v_1 = escaped(l_1_number)
                t_13.append(
                    f' <span class="count">{v_0}'
                    f' {v_1}'
                    f'</span>'
                )
            l_1_word = l_1_number = missing
        if l_0_page.marginal:
            pass
            v_0 = (l_0_state('marginal'))
            v_2 = (('s' if (l_0_page.marginal != 1) else ''))
            v_1 = escaped(l_0_page.marginal)
            t_13.append(
                f'<span class="count">{v_0}'
                f' {v_1}'
                f' measurement{v_2}'
                f'</span>'
            )
        t_13.append(
            f'\n    </p>\n'
        )
    if l_0_page.tests:
        pass
        v_1 = (('s' if (l_0_page.number_of_tests != 1) else ''))
        v_0 = escaped(l_0_page.number_of_tests)
        t_13.append(
            f'    <p class="counts"><span class="quiet">{v_0}'
            f' other pytest test{v_1}'
            f':</span>\n'
        )
        for (l_1_word, l_1_number) in l_0_page.test_counts.items():
            pass
            v_0 = (l_0_state(l_1_word))
            v_1 = escaped(l_1_number)
            t_13.append(
                f'      <span class="count">{v_0}'
                f' {v_1}'
                f'</span>\n'
            )
        l_1_word = l_1_number = missing
        t_13.append(
            f'    </p>\n'
        )
    t_13.append(
        f'    <dl class="facts">\n      <div><dt>Duration</dt><dd'
    )
    if l_0_page.is_cut_off:
        pass
        t_13.append(
            f' title="Time of the last event or output recorded; the run was killed later"'
        )
    v_0 = (('at least ' if l_0_page.is_cut_off else ''))
    v_1 = (t_2(l_0_page.seconds))
    v_5 = (t_4(l_0_page.recipes))
    v_2, v_3, v_4 = all_escaped((l_0_page.run.first, t_12(l_0_page.run.first), t_6(l_0_page.run.first)))
    t_13.append(
        f'>{v_0}'
        f'{v_1}'
        f'</dd></div>\n      <div><dt>Started</dt><dd><time datetime="{v_2}'
        f'" title="{v_3}'
        f'">{v_4}'
        f'</time></dd></div>\n      <div><dt>Recipes</dt><dd>{v_5}'
        f'</dd></div>\n'
    )
    if (l_0_page.run.started and l_0_page.run.started.host):
        pass
        v_0 = escaped(t_1(l_0_page.run.started.host, 80))
        t_13.append(
            f'<div><dt>Host</dt><dd>{v_0}'
            f'</dd></div>'
        )
    t_13.append(
        f'\n'
    )
    if l_0_page.revision:
        pass
        v_0 = escaped(l_0_page.revision)
        t_13.append(
            f'<div><dt>Revision</dt><dd>{v_0}'
            f'</dd></div>'
        )
    t_13.append(
        f'\n'
    )
    for (l_1_name, l_1_value) in l_0_page.meta.items():
        pass
        v_0, v_1 = all_escaped((l_1_name, l_1_value))
        t_13.append(
            f'      <div><dt>{v_0}'
            f'</dt><dd>{v_1}'
            f'</dd></div>\n'
        )
    l_1_name = l_1_value = missing
    if l_0_page.simulated:
        pass
        v_0 = escaped(l_0_page.simulated)
        t_13.append(
            f'<div><dt>Simulated</dt><dd>{v_0}'
            f'</dd></div>'
        )
    v_0 = escaped(l_0_page.run.id)
    t_13.append(
        f'\n      <div><dt>Run</dt><dd><code>{v_0}'
        f'</code></dd></div>\n'
    )
    if (l_0_page.run.started and l_0_page.run.started.resumed_from):
        pass
        v_0 = escaped(t_1(l_0_page.run.started.resumed_from, 60))
        t_13.append(
            f'<div><dt>Resumed from</dt><dd><code>{v_0}'
            f'</code></dd></div>'
        )
    t_13.append(
        f'\n    </dl>\n    <nav aria-label="Sections">\n'
    )
    if (l_0_overview.failures > 1):
        pass
        t_13.append(
            f'<a href="#failures">Failures</a>'
        )
    t_13.append(
        f'\n'
    )
    if l_0_overview.rows:
        pass
        t_13.append(
            f'<a href="#overview">Overview</a>'
        )
    t_13.append(
        f'\n'
    )
    if l_0_page.recipes:
        pass
        t_13.append(
            f'<a href="#recipes">Recipes</a>'
        )
        if l_0_page.matrices:
            pass
            t_13.append(
                f' <a href="#matrix">Matrix</a>'
            )
        if (l_0_overview.measurements and l_0_overview.measurements.rows):
            pass
            t_13.append(
                f' <a href="#measurements">Measurements</a>'
            )
        t_13.append(
            f' <a href="#steps">Steps</a>'
        )
    t_13.append(
        f'\n'
    )
    if l_0_page.tests:
        pass
        t_13.append(
            f'<a href="#tests">Tests</a>'
        )
    t_13.append(
        f'\n'
    )
    if l_0_page.contexts:
        pass
        t_13.append(
            f'<a href="#context">Context</a>'
        )
    t_13.append(
        f'\n'
    )
    if l_0_overview.histories:
        pass
        t_13.append(
            f'<a href="#history">History</a>'
        )
    t_13.append(
        f'\n'
    )
    if l_0_page.trends:
        pass
        t_13.append(
            f'<a href="#trends">Trends</a>'
        )
    t_13.append(
        f'\n'
    )
    if l_0_page.instruments:
        pass
        t_13.append(
            f'<a href="#instruments">Instruments</a>'
        )
    t_13.append(
        f'\n      <a href="#environment">Environment</a>\n      <button type="button" class="theme scripted-only">Theme</button>\n    </nav>\n  </div>\n</header>\n<main>\n'
    )
    if ((((l_0_page.run.state in ('interrupted', 'damaged', 'running')) or l_0_page.interrupted) or l_0_page.not_run) or (l_0_page.verdict == 'interrupted')):
        pass
        v_0 = (('failed' if (l_0_page.run.state == 'damaged') else 'blocked'))
        v_1 = (('!' if (l_0_page.run.state != 'running') else '▶'))
        v_2 = escaped({'damaged': 'Journal was modified: results cannot be trusted', 'running': 'Run in progress'}.get(l_0_page.run.state, ('Run interrupted' if (l_0_page.interrupted or (l_0_page.verdict == 'interrupted')) else 'Run ended early')))
        t_13.append(
            f'<section class="notice {v_0}'
            f'" aria-labelledby="cut-head">\n  <h2 id="cut-head">{v_1}'
            f' {v_2}'
            f'</h2>\n'
        )
        t_14 = 1
        for l_1_step in l_0_page.interrupted[:20]:
            pass
            v_0, v_1, v_2 = all_escaped((l_1_step.anchor, l_1_step.name, t_1(l_1_step.step.recipe, 200)))
            t_13.append(
                f'  <p><a href="#{v_0}'
                f'">{v_1}'
                f'</a> of {v_2}'
                f' was running when the run stopped'
            )
            if l_1_step.step.started:
                pass
                v_0 = escaped(t_6(l_1_step.step.started))
                t_13.append(
                    f' (started {v_0}'
                )
                if (l_1_step.step.attempt > 1):
                    pass
                    v_0 = escaped(l_1_step.step.attempt)
                    t_13.append(
                        f', attempt {v_0}'
                    )
                t_13.append(
                    f')'
                )
            v_0 = escaped(l_1_step.reason)
            t_13.append(
                f': {v_0}'
            )
            if l_1_step.last_output:
                pass
                v_0 = (t_2(l_1_step.last_output))
                t_13.append(
                    f'; last output {v_0}'
                    f' after its start'
                )
            v_0 = (l_0_logs(l_1_step.logs, False))
            t_13.append(
                f'</p>\n  {v_0}'
                f'\n'
            )
            t_14 = 0
        l_1_step = missing
        if t_14:
            pass
            t_13.append(
                f'  <p>No step was running.</p>\n'
            )
        if l_0_page.not_run:
            pass
            v_0 = (t_4(l_0_page.not_run))
            v_1 = (('s' if (t_4(l_0_page.not_run) != 1) else ''))
            t_13.append(
                f'<p>{v_0}'
                f' step{v_1}'
                f' did not run'
            )
            if (l_0_page.run.finished and l_0_page.run.finished.reason):
                pass
                v_0 = escaped(t_1(l_0_page.run.finished.reason, 300))
                t_13.append(
                    f' ({v_0}'
                    f')'
                )
            t_13.append(
                f': '
            )
            l_1_loop = missing
            for l_1_step, l_1_loop in LoopContext(l_0_page.not_run[:20], undefined):
                pass
                v_0 = ((', ' if (l_1_loop.index > 1) else ''))
                v_1, v_2 = all_escaped((l_1_step.anchor, l_1_step.name))
                t_13.append(
                    f'{v_0}'
                    f'<a href="#{v_1}'
                    f'">{v_2}'
                    f'</a>'
                )
            l_1_loop = l_1_step = missing
            if (t_4(l_0_page.not_run) > 20):
                pass
                v_0 = escaped((t_4(l_0_page.not_run) - 20))
                t_13.append(
                    f' and {v_0}'
                    f' more'
                )
            t_13.append(
                f'.</p>'
            )
        v_0 = (l_0_rest(l_0_page.rest))
        v_1, v_2 = all_escaped((t_6(l_0_page.run.last), l_0_page.run.lines))
        t_13.append(
            f'\n  {v_0}'
            f'\n  <p>Last event recorded: {v_1}'
            f' (line {v_2}'
            f' of the journal).</p>\n</section>\n'
        )
    for l_1_file in l_0_page.uncollected:
        pass
        v_1 = (('cannot be read (recipe error)' if l_1_file['is_recipe'] else 'could not be collected'))
        v_0, v_2 = all_escaped((l_1_file['path'], l_1_file['text']))
        t_13.append(
            f'<section class="failure" aria-label="Collection error">\n  <h2>✘ {v_0}'
            f' {v_1}'
            f'</h2>\n  <pre class="text" tabindex="0">{v_2}'
            f'</pre>\n</section>\n'
        )
    l_1_file = missing
    for (l_1_recipe, l_1_end) in l_0_page.unsafe:
        pass
        v_0, v_1, v_2 = all_escaped((t_1(l_1_end.instrument, 100), t_1(l_1_recipe, 200), t_1(l_1_end.reason, 600)))
        t_13.append(
            f'<section class="failure" aria-label="Safe state that was not reached">\n  <h2>‼ {v_0}'
            f' is not in its safe state <span class="of">{v_1}'
            f'</span></h2>\n  <p class="reason">{v_2}'
            f'</p>\n</section>\n'
        )
    l_1_recipe = l_1_end = missing
    if l_0_page.first_failure:
        pass
        l_0_first = l_0_page.first_failure
        context.vars['first'] = l_0_first
        context.exported_vars.add('first')
        v_0, v_1, v_2 = all_escaped((l_0_first.anchor, l_0_first.name, t_1(l_0_first.step.recipe, 200)))
        t_13.append(
            f'<section class="failure" id="first-failure" aria-labelledby="first-head">\n  <h2 id="first-head">✘ First failure: <a href="#{v_0}'
            f'">{v_1}'
            f'</a> <span class="of">{v_2}'
        )
        if ('line' in l_0_first.about):
            pass
            v_0 = escaped(l_0_first.about['line'])
            t_13.append(
                f':{v_0}'
            )
        if l_0_page.first_dut:
            pass
            v_0 = escaped(l_0_page.first_dut)
            t_13.append(
                f' · DUT {v_0}'
            )
        t_13.append(
            f'</span></h2>\n'
        )
        if l_0_first.reason:
            pass
            t_13.append(
                f'<p class="reason">'
            )
            if l_0_first.badge:
                pass
                v_0 = escaped(t_1(l_0_first.badge, 60))
                t_13.append(
                    f'<span class="kind">{v_0}'
                    f'</span> '
                )
            v_0 = escaped(l_0_first.reason)
            t_13.append(
                f'{v_0}'
                f'</p>'
            )
        v_0 = (l_0_measurements(t_5(t_9(l_0_first.measurements, 'is_notable'))))
        t_13.append(
            f'\n  {v_0}'
            f'\n'
        )
        if l_0_first.step.text:
            pass
            v_0 = escaped(l_0_first.evidence)
            t_13.append(
                f'<pre class="text" tabindex="0">{v_0}'
                f'</pre>'
            )
        t_13.append(
            f'\n'
        )
        if (not l_0_first.step.text):
            pass
            v_0 = (l_0_logs(l_0_first.logs, False))
            t_13.append(
                f'{v_0}'
            )
        v_0 = escaped(l_0_first.rerun_command)
        t_13.append(
            f'\n  <p class="command"><code>{v_0}'
            f'</code> <button type="button" class="copy" data-copy="{v_0}'
            f'">Copy</button></p>\n</section>\n'
        )
    if (l_0_overview.failures > 1):
        pass
        v_1 = (t_4(l_0_overview.causes))
        v_2 = (('s' if (t_4(l_0_overview.causes) != 1) else ''))
        v_0 = escaped(l_0_overview.failures)
        t_13.append(
            f'<section id="failures" aria-labelledby="failures-head">\n  <h2 id="failures-head">{v_0}'
            f' failures, {v_1}'
            f' cause{v_2}'
            f'</h2>\n  <ol class="causes">\n'
        )
        for l_1_one in l_0_overview.causes:
            pass
            v_0 = escaped(l_1_one.number)
            t_13.append(
                f'  <li><span class="times">{v_0}'
                f' ×</span> '
            )
            if l_1_one.kind:
                pass
                v_0 = escaped(t_1(l_1_one.kind, 60))
                t_13.append(
                    f'<span class="kind">{v_0}'
                    f'</span> '
                )
            v_0 = escaped(l_1_one.reason)
            t_13.append(
                f'<span class="why">{v_0}'
                f'</span>'
            )
            if l_1_one.is_alike:
                pass
                t_13.append(
                    f' <span class="quiet">and alike, with other numbers</span>'
                )
            if l_1_one.blocked:
                pass
                v_1 = (('s' if (l_1_one.blocked != 1) else ''))
                v_0 = escaped(l_1_one.blocked)
                t_13.append(
                    f' <span class="quiet">blocks {v_0}'
                    f' step{v_1}'
                    f'</span>'
                )
            t_13.append(
                f'\n    <ul>'
            )
            for (l_2_anchor, l_2_name, l_2_of, l_2_reason) in l_1_one.links[:6]:
                pass
                v_0 = (l_2_anchor)
                v_1, v_2 = all_escaped((l_2_reason, l_2_name))
                t_13.append(
                    f'<li><a href="#{v_0}'
                    f'" title="{v_1}'
                    f'">{v_2}'
                    f'</a>'
                )
                if l_2_of:
                    pass
                    v_0 = escaped(l_2_of)
                    t_13.append(
                        f' <span class="of">{v_0}'
                        f'</span>'
                    )
                t_13.append(
                    f'</li>'
                )
            l_2_anchor = l_2_name = l_2_of = l_2_reason = missing
            t_13.append(
                f'</ul>\n'
            )
            if (l_1_one.number > 6):
                pass
                v_0 = escaped((l_1_one.number - 6))
                t_13.append(
                    f'<details class="more"><summary>{v_0}'
                    f' more</summary><ul>'
                )
                for (l_2_anchor, l_2_name, l_2_of, l_2_reason) in l_1_one.links[6:]:
                    pass
                    v_0 = (l_2_anchor)
                    v_1, v_2 = all_escaped((l_2_reason, l_2_name))
                    t_13.append(
                        f'<li><a href="#{v_0}'
                        f'" title="{v_1}'
                        f'">{v_2}'
                        f'</a>'
                    )
                    if l_2_of:
                        pass
                        v_0 = escaped(l_2_of)
                        t_13.append(
                            f' <span class="of">{v_0}'
                            f'</span>'
                        )
                    t_13.append(
                        f'</li>'
                    )
                l_2_anchor = l_2_name = l_2_of = l_2_reason = missing
                t_13.append(
                    f'</ul></details>'
                )
            t_13.append(
                f'</li>\n'
            )
        l_1_one = missing
        t_13.append(
            f'  </ol>\n</section>\n'
        )
    if (l_0_overview.rows or l_0_overview.grids):
        pass
        t_13.append(
            f'<section id="overview" aria-labelledby="overview-head">\n  <h2 id="overview-head">Overview</h2>\n'
        )
        if l_0_overview.rows:
            pass
            v_0 = ((' tall' if (t_4(l_0_overview.rows) > 60) else ''))
            t_13.append(
                f'  <div class="scroll{v_0}'
                f'" tabindex="0" role="region" aria-label="Table of recipes"><table class="recipes"><thead><tr><th scope="col">Verdict</th><th scope="col">Recipe</th>'
            )
            if l_0_overview.has_dut:
                pass
                t_13.append(
                    f'<th scope="col">DUT</th>'
                )
            if l_0_overview.has_test_id:
                pass
                t_13.append(
                    f'<th scope="col">Test ID</th>'
                )
            t_13.append(
                f'<th scope="col">Steps</th><th scope="col" class="number">Duration</th>'
            )
            if l_0_overview.has_reason:
                pass
                t_13.append(
                    f'<th scope="col">First reason</th>'
                )
            t_13.append(
                f'</tr></thead><tbody>\n'
            )
            for l_1_row in l_0_overview.rows:
                l_1_one = missing
                pass
                l_1_one = l_1_row.view
                if l_1_one:
                    pass
                    v_0 = (l_0_state(l_1_one.verdict))
                    v_1 = (l_1_one.anchor)
                    v_2 = escaped(l_1_row.name)
                    t_13.append(
                        f'  <tr><td>{v_0}'
                        f'</td><th scope="row" class="wide"><a href="#{v_1}'
                        f'">{v_2}'
                        f'</a></th>'
                    )
                    if l_0_overview.has_dut:
                        pass
                        v_0 = escaped(l_1_one.dut)
                        t_13.append(
                            f'<td class="wide">{v_0}'
                            f'</td>'
                        )
                    if l_0_overview.has_test_id:
                        pass
                        v_0 = escaped(l_1_one.test_id)
                        t_13.append(
                            f'<td class="wide">{v_0}'
                            f'</td>'
                        )
                    v_0, v_1 = all_escaped((l_1_row.steps, l_1_row.duration))
                    t_13.append(
                        f'<td class="of-steps">{v_0}'
                        f'</td><td class="number">{v_1}'
                        f'</td>'
                    )
                    if l_0_overview.has_reason:
                        pass
                        t_13.append(
                            f'<td class="wide first-reason">'
                        )
                        if l_1_row.first:
                            pass
                            v_0 = (l_1_row.first.anchor)
                            v_1, v_2 = all_escaped((l_1_row.first.name, l_1_row.first.reason))
                            t_13.append(
                                f'<a href="#{v_0}'
                                f'">{v_1}'
                                f'</a>: {v_2}'
                            )
                        else:
                            pass
                            v_0 = escaped(l_1_row.unsafe)
                            t_13.append(
                                f'{v_0}'
                            )
                        t_13.append(
                            f'</td>'
                        )
                    t_13.append(
                        f'</tr>\n'
                    )
                else:
                    pass
                    v_0, v_1 = all_escaped(((((4 + l_0_overview.has_reason) + l_0_overview.has_dut) + l_0_overview.has_test_id), l_1_row.rest))
                    t_13.append(
                        f'  <tr><td colspan="{v_0}'
                        f'">{v_1}'
                        f'</td></tr>\n'
                    )
            l_1_row = l_1_one = missing
            t_13.append(
                f'  </tbody></table></div>\n'
            )
        for l_1_grid in l_0_overview.grids:
            pass
            v_0, v_1, v_2 = all_escaped((l_1_grid.name, l_1_grid.summary, l_1_grid.column))
            t_13.append(
                f'  <h3>{v_0}'
                f' <span class="of">{v_1}'
                f'</span></h3>\n  <div class="scroll" tabindex="0" role="region" aria-label="Matrix of {v_0}'
                f'"><table class="grid"><thead><tr><th scope="col"><span class="quiet">{v_2}'
                f'</span></th>'
            )
            for l_2_head in l_1_grid.columns:
                pass
                v_0 = escaped(l_2_head)
                t_13.append(
                    f'<th scope="col">{v_0}'
                    f'</th>'
                )
            l_2_head = missing
            t_13.append(
                f'</tr></thead><tbody>\n'
            )
            for (l_2_label, l_2_cells) in l_1_grid.rows:
                pass
                t_13.append(
                    f'  <tr>'
                )
                if l_2_label:
                    pass
                    v_0 = escaped(l_2_label)
                    t_13.append(
                        f'<th scope="row">{v_0}'
                        f'</th>'
                    )
                else:
                    pass
                    t_13.append(
                        f'<td></td>'
                    )
                for l_3_cell in l_2_cells:
                    pass
                    t_13.append(
                        f'<td>'
                    )
                    if l_3_cell:
                        pass
                        v_0 = (l_3_cell.look)
                        v_1 = (l_3_cell.anchor)
                        v_3 = (l_3_cell.sign)
                        v_2 = escaped(l_3_cell.text)
                        t_13.append(
                            f'<a class="state {v_0}'
                            f'" href="#{v_1}'
                            f'" title="{v_2}'
                            f'" aria-label="{v_2}'
                            f'">{v_3}'
                            f'</a>'
                        )
                    t_13.append(
                        f'</td>'
                    )
                l_3_cell = missing
                t_13.append(
                    f'</tr>\n'
                )
            l_2_label = l_2_cells = missing
            t_13.append(
                f'  </tbody></table></div>\n'
            )
        l_1_grid = missing
        if l_0_overview.timeline:
            pass
            v_0 = (l_0_run_timeline(l_0_overview.timeline))
            t_13.append(
                f'  <h3>Timeline of the run</h3>\n  {v_0}'
                f'\n'
            )
        t_13.append(
            f'</section>\n'
        )
    if l_0_page.recipes:
        pass
        v_0 = (('Recipe' if (t_4(l_0_page.recipes) == 1) else 'Recipes'))
        t_13.append(
            f'<section id="recipes" aria-labelledby="recipes-head">\n  <h2 id="recipes-head">{v_0}'
            f'</h2>\n  <p class="legend quiet">'
        )
        for l_1_text in l_0_page.legend.texts:
            pass
            v_0 = escaped(l_1_text)
            t_13.append(
                f'<span>{v_0}'
                f'</span> '
            )
        l_1_text = missing
        t_13.append(
            f'</p>\n'
        )
        l_0_shown = l_0_overview.cards
        context.vars['shown'] = l_0_shown
        context.exported_vars.add('shown')
        l_1_loop = missing
        for l_1_one, l_1_loop in LoopContext(l_0_shown, undefined):
            l_1_graph = resolve('graph')
            pass
            if (l_1_loop.index0 == l_0_overview.first_passed):
                pass
                v_0 = escaped((t_4(l_0_shown) - l_1_loop.index0))
                t_13.append(
                    f'  <details class="more passed-recipes"><summary>{v_0}'
                    f' recipes passed</summary>\n'
                )
            v_0 = (l_1_one.anchor)
            v_1 = ((' open' if (l_1_loop.index == 1) else ''))
            v_8 = (('s' if (l_1_one.count != 1) else ''))
            v_2, v_3, v_4, v_5, v_6, v_7, v_9 = all_escaped((l_1_one.look, l_1_one.sign, l_1_one.verdict, l_1_one.title, t_1(l_1_one.recipe.key, 300), l_1_one.count, l_1_one.duration))
            t_13.append(
                f'  <details class="recipe" id="{v_0}'
                f'"{v_1}'
                f'>\n    <summary><span class="state {v_2}'
                f'"><span aria-hidden="true">{v_3}'
                f'</span> {v_4}'
                f'</span> <span class="name">{v_5}'
                f'</span> <span class="of">{v_6}'
                f' · {v_7}'
                f' step{v_8}'
                f' · {v_9}'
            )
            if l_1_one.dut:
                pass
                v_0 = escaped(l_1_one.dut)
                t_13.append(
                    f' · DUT {v_0}'
                )
            t_13.append(
                f'</span></summary>\n'
            )
            if l_1_one.source:
                pass
                v_0 = escaped(l_1_one.source)
                t_13.append(
                    f'<p class="quiet"><a href="{v_0}'
                    f'">Recipe as it ran</a></p>'
                )
            t_13.append(
                f'\n'
            )
            if l_1_one.recipe.about.get('description'):
                pass
                v_0 = escaped(t_1(t_10(l_1_one.recipe.about['description']), 600))
                t_13.append(
                    f'<p>{v_0}'
                    f'</p>'
                )
            t_13.append(
                f'\n'
            )
            if l_1_one.meta:
                pass
                t_13.append(
                    f'    <dl class="facts meta">'
                )
                for l_2_row in l_1_one.meta:
                    pass
                    v_0 = escaped(l_2_row.label)
                    t_13.append(
                        f'<div><dt>{v_0}'
                        f'</dt>'
                    )
                    for l_3_line in l_2_row.lines:
                        pass
                        t_13.append(
                            f'<dd>'
                        )
                        if l_3_line.name:
                            pass
                            v_0 = escaped(l_3_line.name)
                            t_13.append(
                                f'<i>{v_0}'
                                f'</i> '
                            )
                        v_0 = escaped(l_3_line.text)
                        t_13.append(
                            f'{v_0}'
                            f'</dd>'
                        )
                    l_3_line = missing
                    t_13.append(
                        f'</div>'
                    )
                l_2_row = missing
                t_13.append(
                    f'</dl>\n'
                )
            v_0 = ((Markup(' class="side"') if ((l_1_one.graph['width'] <= 420) and l_1_one.timeline) else ''))
            v_1, v_2 = all_escaped((t_1(l_1_one.recipe.key, 200), l_1_graph(l_1_one.graph, l_1_one.narrow_graph)))
            t_13.append(
                f'    <div{v_0}'
                f'>\n    <div class="graph-box" tabindex="0" role="region" aria-label="Graph of {v_1}'
                f'">\n      {v_2}'
                f'\n    </div>\n'
            )
            if l_1_one.timeline:
                pass
                v_0 = (l_0_timeline(l_1_one))
                t_13.append(
                    f'{v_0}'
                )
            t_13.append(
                f'\n    </div>\n'
            )
            if l_1_one.left_out:
                pass
                v_1 = (t_4(l_1_one.steps))
                v_0 = escaped((t_4(l_1_one.steps) - l_1_one.left_out))
                t_13.append(
                    f'<p class="quiet">Showing {v_0}'
                    f' of {v_1}'
                    f' steps. Full graph: files in <code>assets/</code>.</p>'
                )
            t_13.append(
                f'\n'
            )
            if l_1_one.recipe.about.get('vars'):
                pass
                t_13.append(
                    f'    <details class="more"><summary>Vars</summary>\n      <table><thead><tr><th scope="col">Name</th><th scope="col">Value</th><th scope="col">Set by</th></tr></thead><tbody>\n'
                )
                for (l_2_name, l_2_var) in l_1_one.recipe.about['vars'].items():
                    pass
                    v_0, v_1, v_2 = all_escaped((t_1(l_2_name, 100), t_3(l_2_var['value'], l_0_page.budget.value), t_1(t_10(l_2_var['origin']), 200)))
                    t_13.append(
                        f'      <tr><td>{v_0}'
                        f'</td><td><code>{v_1}'
                        f'</code></td><td>{v_2}'
                        f'</td></tr>\n'
                    )
                l_2_name = l_2_var = missing
                t_13.append(
                    f'      </tbody></table>\n    </details>\n'
                )
            t_13.append(
                f'  </details>\n'
            )
        l_1_loop = l_1_one = l_1_graph = missing
        if (l_0_overview.first_passed < t_4(l_0_shown)):
            pass
            t_13.append(
                f'  </details>\n'
            )
        t_13.append(
            f'</section>\n'
        )
        if l_0_page.matrices:
            pass
            t_13.append(
                f'<section id="matrix" aria-labelledby="matrix-head">\n  <h2 id="matrix-head">Measurements of the matrix</h2>\n'
            )
            for l_1_one in l_0_page.matrices:
                pass
                v_2 = (l_0_curves_over(l_1_one.curves))
                v_3 = (l_0_elements(l_1_one.cells, None))
                v_0, v_1 = all_escaped((l_1_one.step, l_1_one.recipe))
                t_13.append(
                    f'  <h3>{v_0}'
                    f' <span class="of">{v_1}'
                    f'</span></h3>\n  {v_2}'
                    f'\n  {v_3}'
                    f'\n'
                )
            l_1_one = missing
            t_13.append(
                f'</section>\n'
            )
        if (l_0_overview.measurements and l_0_overview.measurements.rows):
            pass
            l_0_table = l_0_overview.measurements
            context.vars['table'] = l_0_table
            context.exported_vars.add('table')
            l_0_decimals = l_0_table.decimals
            context.vars['decimals'] = l_0_decimals
            context.exported_vars.add('decimals')
            v_0 = (t_4(l_0_table.rows))
            t_13.append(
                f'<section id="measurements" aria-labelledby="measurements-head">\n  <h2 id="measurements-head">Measurements <span class="quiet found" aria-live="polite">{v_0}'
                f'</span></h2>\n  <div class="controls scripted-only" role="group" aria-label="Filter measurements">\n    <input type="search" class="find" placeholder="Search measurement, step, recipe" aria-label="Search the measurements">\n'
            )
            for (l_1_word, l_1_number) in l_0_table.counts.items():
                pass
                v_0 = (l_1_word)
                v_1 = escaped(l_1_number)
                t_13.append(
                    f'    <button type="button" aria-pressed="false" data-verdict="{v_0}'
                    f'">{v_0}'
                    f' {v_1}'
                    f'</button>\n'
                )
            l_1_word = l_1_number = missing
            t_13.append(
                f'    <button type="button" class="csv">Copy as CSV</button>\n  </div>\n'
            )
            if l_0_table.more:
                pass
                v_0 = (t_4(l_0_table.rows))
                v_1 = escaped((t_4(l_0_table.rows) + l_0_table.more))
                t_13.append(
                    f'<p class="quiet">Showing {v_0}'
                    f' of {v_1}'
                    f' measurements, all that are not within their limits first; the journal has the others.</p>'
                )
            v_0 = ((' tall' if (t_4(l_0_table.rows) > 60) else ''))
            t_13.append(
                f'\n  <div class="scroll{v_0}'
                f'" tabindex="0" role="region" aria-label="Table of measurements"><table class="all-measured"><thead><tr>'
            )
            for (l_1_word, l_1_kind) in l_0_overview.measurement_columns:
                pass
                v_0 = ((Markup(' class="number"') if (l_1_kind == 'number') else ''))
                v_1 = (l_1_word)
                t_13.append(
                    f'<th scope="col"{v_0}'
                    f'><button type="button" class="sort">{v_1}'
                    f'</button></th>'
                )
            l_1_word = l_1_kind = missing
            t_13.append(
                f'</tr></thead><tbody>\n'
            )
            for l_1_one in l_0_table.rows:
                l_1_texts = missing
                pass
                l_1_texts = l_1_one.texts
                v_0 = (l_1_one.verdict)
                t_13.append(
                    f'  <tr data-verdict="{v_0}'
                    f'">'
                )
                if l_0_overview.rows:
                    pass
                    v_0 = escaped(l_1_one.recipe)
                    t_13.append(
                        f'<td class="of-recipe">{v_0}'
                        f'</td>'
                    )
                v_0 = (l_1_one.anchor)
                v_1, v_2 = all_escaped((l_1_one.step, l_1_one.name))
                t_13.append(
                    f'<td class="of-step"><a href="#{v_0}'
                    f'">{v_1}'
                    f'</a></td><th scope="row">{v_2}'
                )
                if l_1_one.item:
                    pass
                    v_0 = escaped(l_1_one.item)
                    t_13.append(
                        f' <span class="of">{v_0}'
                        f'</span>'
                    )
                v_0 = (l_1_one.number)
                v_1, v_2, v_3 = all_escaped((l_1_texts.exact, (l_1_texts.value if l_1_texts.is_text else t_7(l_1_texts.value, l_0_decimals)), l_1_texts.unit))
                t_13.append(
                    f'</th><td class="number" data-by="{v_0}'
                    f'" title="{v_1}'
                    f'">{v_2}'
                    f'</td><td>{v_3}'
                    f'</td>'
                )
                if l_1_texts.condition:
                    pass
                    v_0 = escaped(l_1_texts.condition)
                    t_13.append(
                        f'<td class="condition">{v_0}'
                        f'</td><td></td>'
                    )
                else:
                    pass
                    v_0, v_1 = all_escaped((t_7(l_1_texts.low, l_0_decimals), t_7(l_1_texts.high, l_0_decimals)))
                    t_13.append(
                        f'<td class="number low">{v_0}'
                        f'</td><td class="number high">{v_1}'
                        f'</td>'
                    )
                v_0 = (l_1_one.distance)
                v_2 = (l_1_one.verdict)
                v_3 = ((' (may fail)' if l_1_one.may_fail else ''))
                v_4 = (l_0_verdict(l_1_one))
                v_1 = escaped(t_7(l_1_texts.margin, 2))
                t_13.append(
                    f'<td class="number margin" data-by="{v_0}'
                    f'">{v_1}'
                    f'</td><td class="verdict" data-csv="{v_2}'
                    f'{v_3}'
                    f'">{v_4}'
                    f'</td></tr>\n'
                )
            l_1_one = l_1_texts = missing
            t_13.append(
                f'  </tbody></table></div>\n</section>\n'
            )
        t_13.append(
            f'<section id="steps" aria-labelledby="steps-head">\n  <h2 id="steps-head">Steps <span class="shown quiet" aria-live="polite"></span></h2>\n  <div class="controls scripted-only" role="group" aria-label="Filter and sort">\n    <input type="search" class="find" placeholder="Search steps and output" aria-label="Search the steps">\n    <span class="states">\n'
        )
        for (l_1_word, l_1_number) in l_0_page.listed_words.items():
            pass
            v_1 = (l_0_state(l_1_word))
            v_0, v_2 = all_escaped((l_1_word, l_1_number))
            t_13.append(
                f'    <button type="button" aria-pressed="false" data-state="{v_0}'
                f'">{v_1}'
                f' {v_2}'
                f'</button>\n'
            )
        l_1_word = l_1_number = missing
        t_13.append(
            f'    </span>\n'
        )
        if l_0_page.tags:
            pass
            t_13.append(
                f'    <select id="tag" aria-label="Tag"><option value="">all tags</option>'
            )
            for l_1_tag in l_0_page.tags:
                pass
                v_0 = escaped(l_1_tag)
                t_13.append(
                    f'<option>{v_0}'
                    f'</option>'
                )
            l_1_tag = missing
            t_13.append(
                f'</select>\n'
            )
        if (t_4(l_0_page.recipes) > 1):
            pass
            t_13.append(
                f'    <select id="of" aria-label="Recipe"><option value="">all recipes</option>'
            )
            l_1_loop = missing
            for l_1_one, l_1_loop in LoopContext(l_0_page.recipes, undefined):
                pass
                v_0, v_1 = all_escaped((l_1_loop.index0, l_1_one.title))
                t_13.append(
                    f'<option value="{v_0}'
                    f'">{v_1}'
                    f'</option>'
                )
            l_1_loop = l_1_one = missing
            t_13.append(
                f'</select>\n'
            )
        t_13.append(
            f'  </div>\n  <p class="quiet keys scripted-only">Keys: <kbd>/</kbd> search, <kbd>j</kbd> <kbd>k</kbd> next and previous step, <kbd>n</kbd> <kbd>p</kbd> next and previous failure</p>\n  <div class="row head">\n'
        )
        for (l_1_name, l_1_word) in [('order', 'Step'), ('state', 'State'), ('seconds', 'Duration'), ('cpu', 'CPU'), ('peak', 'Peak MB'), ('wrote', 'Context keys written')]:
            pass
            v_0, v_1, v_2 = all_escaped((('name' if (l_1_name == 'order') else l_1_name), l_1_name, l_1_word))
            t_13.append(
                f'    <span class="c-{v_0}'
                f'"><button type="button" class="sort" data-sort="{v_1}'
                f'">{v_2}'
                f'</button></span>\n'
            )
        l_1_name = l_1_word = missing
        t_13.append(
            f'  </div>\n'
        )
        if l_0_page.unlisted:
            pass
            v_1 = (t_4(l_0_page.steps))
            v_0 = escaped((t_4(l_0_page.steps) - l_0_page.unlisted))
            t_13.append(
                f'<p class="quiet">Showing {v_0}'
                f' of {v_1}'
                f' steps; <code>pytest-orchestrator monitor</code> lists all.</p>'
            )
        v_0 = ((' many' if (t_4(l_0_page.steps) > 300) else ''))
        t_13.append(
            f'  <div class="list{v_0}'
            f'">\n'
        )
        l_0_lazy = l_0_page.is_large
        context.vars['lazy'] = l_0_lazy
        context.exported_vars.add('lazy')
        l_0_several = ((t_4(l_0_page.recipes) > 1) and (not l_0_overview.is_grouped))
        context.vars['several'] = l_0_several
        context.exported_vars.add('several')
        l_1_loop = missing
        for l_1_one, l_1_loop in LoopContext(l_0_page.recipes, undefined):
            l_1_number = missing
            pass
            l_1_number = l_1_loop.index0
            if (l_0_overview.is_grouped and l_0_page.listed[l_1_number]):
                pass
                v_1 = (l_0_state(l_1_one.verdict))
                v_0, v_2, v_3 = all_escaped((l_1_number, l_1_one.title, l_1_one.duration))
                t_13.append(
                    f'  <h3 class="group" data-of="{v_0}'
                    f'">{v_1}'
                    f' {v_2}'
                    f' <span class="of">{v_3}'
                    f'</span></h3>\n'
                )
            for l_2_step in l_0_page.listed[l_1_number]:
                pass
                v_0 = (l_0_step_item(l_2_step, l_1_number, l_0_several, l_0_lazy))
                t_13.append(
                    f'  {v_0}'
                    f'\n'
                )
            l_2_step = missing
        l_1_loop = l_1_one = l_1_number = missing
        t_13.append(
            f'  </div>\n  <p class="none" hidden>No step matches. <button type="button">Clear search and filters</button></p>\n</section>\n'
        )
    if l_0_page.tests:
        pass
        t_13.append(
            f'<section id="tests" aria-labelledby="tests-head">\n  <h2 id="tests-head">Other pytest tests</h2>\n  <div class="scroll" tabindex="0"><table><thead><tr><th scope="col">State</th><th scope="col">Test</th><th scope="col" class="number">Duration</th><th scope="col">Reason</th></tr></thead><tbody>\n'
        )
        for l_1_test in l_0_page.tests:
            pass
            v_0 = (l_0_state(l_1_test.outcome))
            v_2 = (t_2(l_1_test.seconds))
            v_1, v_3 = all_escaped((t_1(l_1_test.node, 400), t_1(l_1_test.reason, 300)))
            t_13.append(
                f'  <tr><td>{v_0}'
                f'</td><td class="wide">{v_1}'
                f'</td><td class="number">{v_2}'
                f'</td><td class="wide">{v_3}'
                f'</td></tr>\n'
            )
        l_1_test = missing
        t_13.append(
            f'  </tbody></table></div>\n'
        )
        for l_1_test in t_5(t_9(l_0_page.tests, 'text'))[:50]:
            pass
            v_0 = (l_0_state(l_1_test.outcome))
            v_1, v_2 = all_escaped((t_1(l_1_test.node, 400), t_1(l_1_test.text, l_0_page.budget.text)))
            t_13.append(
                f'  <details class="more"><summary>{v_0}'
                f' {v_1}'
                f'</summary><pre class="text" tabindex="0">{v_2}'
                f'</pre></details>\n'
            )
        l_1_test = missing
        t_13.append(
            f'</section>\n'
        )
    if l_0_page.contexts:
        pass
        t_13.append(
            f'<section id="context" aria-labelledby="context-head">\n  <h2 id="context-head">Final Context</h2>\n'
        )
        for l_1_one in l_0_page.contexts:
            pass
            if l_1_one.scope:
                pass
                v_0 = escaped(t_1(l_1_one.scope, 300))
                t_13.append(
                    f'<h3>Context of {v_0}'
                    f' <span class="of">what the recipe has changed; other keys are those of the session</span></h3>'
                )
            v_0 = (l_0_context(l_1_one))
            t_13.append(
                f'\n  {v_0}'
                f'\n'
            )
        l_1_one = missing
        t_13.append(
            f'</section>\n'
        )
    if l_0_overview.histories:
        pass
        included_template = environment.get_template('history.html', 'page.html')._get_default_module(context)
        l_0_history = getattr(included_template, 'history', missing)
        if l_0_history is missing:
            l_0_history = undefined(f"the template {included_template.__name__!r} (imported on line 309 in 'page.html') does not export the requested name 'history'", name='history')
        context.vars['history'] = l_0_history
        context.exported_vars.discard('history')
        t_13.append(
            f'<section id="history" aria-labelledby="history-head">\n  <h2 id="history-head">History (last 20 runs)'
        )
        if l_0_overview.more_histories:
            pass
            v_0 = (t_4(l_0_overview.histories))
            v_1 = escaped((t_4(l_0_overview.histories) + l_0_overview.more_histories))
            t_13.append(
                f' <span class="quiet">{v_0}'
                f' of {v_1}'
                f' recipes shown</span>'
            )
        t_13.append(
            f'</h2>\n'
        )
        for l_1_one in l_0_overview.histories:
            pass
            v_0 = (l_0_history(l_1_one, ((t_4(l_0_overview.histories) == 1) or l_1_one.place.is_open)))
            t_13.append(
                f'  {v_0}'
                f'\n'
            )
        l_1_one = missing
        t_13.append(
            f'</section>\n'
        )
    if l_0_page.trends:
        pass
        included_template = environment.get_template('trends.html', 'page.html')._get_default_module(context)
        l_0_trends = getattr(included_template, 'trends', missing)
        if l_0_trends is missing:
            l_0_trends = undefined(f"the template {included_template.__name__!r} (imported on line 318 in 'page.html') does not export the requested name 'trends'", name='trends')
        context.vars['trends'] = l_0_trends
        context.exported_vars.discard('trends')
        v_0 = (l_0_trends(l_0_page.trends, 'Trends (last 20 runs)', l_0_page.trends_note))
        t_13.append(
            f'{v_0}'
            f'\n'
        )
    if l_0_page.instruments:
        pass
        t_13.append(
            f'<section id="instruments" aria-labelledby="instruments-head">\n  <h2 id="instruments-head">Instruments</h2>\n  <div class="scroll" tabindex="0"><table><thead><tr><th scope="col">Name</th><th scope="col">Identity (*IDN?)</th><th scope="col">Resource</th><th scope="col">Calibrated</th><th scope="col">Calibration due</th><th scope="col">Safe state</th></tr></thead><tbody>\n'
        )
        for l_1_one in l_0_page.instruments:
            pass
            v_0 = escaped(t_1(l_1_one.name, 100))
            t_13.append(
                f'  <tr><td>{v_0}'
            )
            if l_1_one.simulation:
                pass
                t_13.append(
                    f' <span class="state blocked"><span aria-hidden="true">≈</span> simulated</span>'
                )
            v_0, v_1, v_2 = all_escaped((t_1((l_1_one.idn or 'none'), 200), t_1(l_1_one.resource, 200), l_1_one.calibrated))
            t_13.append(
                f'</td><td>{v_0}'
                f'</td><td><code>{v_1}'
                f'</code></td><td>{v_2}'
                f'</td><td>'
            )
            if l_1_one.overdue:
                pass
                v_0 = escaped(l_1_one.due)
                t_13.append(
                    f'<span class="state failed"><span aria-hidden="true">✘</span> {v_0}'
                    f' (overdue)</span>'
                )
            else:
                pass
                v_0 = escaped(l_1_one.due)
                t_13.append(
                    f'{v_0}'
                )
            t_13.append(
                f'</td><td>'
            )
            if (l_1_one.safe_state in ('not reached', 'owed')):
                pass
                v_0, v_1 = all_escaped((l_1_one.safe_state, (markup_join((': ', t_1(l_1_one.reason, 300), )) if l_1_one.reason else '')))
                t_13.append(
                    f'<span class="state failed"><span aria-hidden="true">✘</span> {v_0}'
                    f'</span>{v_1}'
                )
            else:
                pass
                v_0 = escaped(l_1_one.safe_state)
                t_13.append(
                    f'{v_0}'
                )
            t_13.append(
                f'</td></tr>\n'
            )
        l_1_one = missing
        t_13.append(
            f'  </tbody></table></div>\n</section>\n'
        )
    v_0 = escaped(l_0_page.command)
    t_13.append(
        f'<section id="environment" aria-labelledby="environment-head">\n  <h2 id="environment-head">Environment and digests</h2>\n  <p class="command"><code>{v_0}'
        f'</code></p>\n  <div class="scroll" tabindex="0"><table><tbody>\n'
    )
    if l_0_page.run.started:
        pass
        v_0 = escaped(t_1(l_0_page.run.started.root, 500))
        t_13.append(
            f'<tr><th scope="row">Root folder</th><td class="wide">{v_0}'
            f'</td></tr>'
        )
    t_13.append(
        f'\n'
    )
    if l_0_page.run.finished:
        pass
        v_0, v_1 = all_escaped((l_0_page.run.finished.exit_status, (markup_join((': ', t_1(l_0_page.run.finished.reason, 300), )) if l_0_page.run.finished.reason else '')))
        t_13.append(
            f'<tr><th scope="row">Exit status</th><td>{v_0}'
            f'{v_1}'
            f'</td></tr>'
        )
    t_13.append(
        f'\n'
    )
    for (l_1_name, l_1_value) in l_0_page.environment.items():
        pass
        v_0, v_1 = all_escaped((l_1_name, l_1_value))
        t_13.append(
            f'  <tr><th scope="row">{v_0}'
            f'</th><td class="wide">{v_1}'
            f'</td></tr>\n'
        )
    l_1_name = l_1_value = missing
    t_13.append(
        f'  </tbody></table></div>\n'
    )
    for (l_1_path, l_1_digests) in l_0_page.digests.items():
        pass
        v_0 = escaped(l_1_path)
        t_13.append(
            f'  <details class="more"><summary>SHA-256 of {v_0}'
            f' and the files of its steps</summary><div class="scroll" tabindex="0"><table><tbody>\n'
        )
        for (l_2_name, l_2_digest) in l_1_digests.items():
            pass
            v_0, v_1 = all_escaped((l_2_name, l_2_digest))
            t_13.append(
                f'  <tr><th scope="row">{v_0}'
                f'</th><td><code>{v_1}'
                f'</code></td></tr>\n'
            )
        l_2_name = l_2_digest = missing
        t_13.append(
            f'  </tbody></table></div></details>\n'
        )
    l_1_path = l_1_digests = missing
    v_0, v_1, v_2, v_3 = all_escaped((l_0_base, l_0_page.run.lines, t_11({'curves': l_0_page.curves, 'trends': l_0_page.trends, 'recipes': l_0_page.titles}), l_0_script))
    t_13.append(
        f'</section>\n</main>\n<footer class="quiet">Made by pytest-orchestrator from the <a href="{v_0}'
        f'journal.jsonl">journal</a> of the run, {v_1}'
        f' lines.</footer>\n<script type="application/json" id="data">{v_2}'
        f'</script>\n<script>{v_3}'
        f'</script>\n</body>\n</html>'
    )
    yield concat(t_13)

blocks = {}
debug_info = '1=100&2=127&3=136&17=155&24=165&29=177&31=199&32=209&34=218&37=228&38=243&42=257&44=266&50=282&53=300&55=310&57=320&60=329&63=341&67=351&69=359&71=367&73=388&75=396&77=404&79=412&81=420&89=428&92=440&93=449&98=487&104=536&110=547&116=557&117=559&119=568&120=583&123=605&125=615&130=627&134=638&135=645&137=674&138=698&143=736&146=741&147=748&148=769&149=772&150=773&151=784&158=842&160=852&161=863&162=868&166=911&172=921&175=928&176=939&177=943&178=946&182=969&183=978&185=988&187=998&188=1003&194=1043&197=1052&199=1064&202=1069&210=1086&214=1094&217=1099&224=1115&225=1117&226=1120&231=1128&236=1142&238=1156&239=1169&240=1172&241=1178&251=1243&255=1257&256=1262&258=1273&259=1279&264=1294&268=1307&270=1321&271=1324&272=1328&273=1331&274=1332&277=1343&285=1355&289=1360&293=1376&298=1390&301=1395&302=1397&308=1413&309=1415&311=1424&312=1436&317=1447&318=1449&321=1460&325=1465&326=1471&335=1524&337=1534&339=1545&343=1557&345=1564'
