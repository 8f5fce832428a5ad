"""`templates/unit.html`, compiled by Jinja2 3.1.6."""

from pytest_orchestrator.reports.templating import TemplateRuntimeError, all_escaped, escaped, internalcode, markup_join, missing, Environment as environment
name = 'unit.html'

def root(context, missing=missing, environment=environment):
    resolve = context.resolve_or_missing
    undefined = environment.undefined
    concat = environment.concat
    l_0_brand = resolve('brand')
    l_0_page = resolve('page')
    l_0_digest = resolve('digest')
    l_0_script = resolve('script')
    l_0_head = l_0_foot = l_0_brand_line = l_0_since = l_0_state = l_0_trends = missing
    try:
        t_1 = environment.filters['duration']
    except KeyError:
        @internalcode
        def t_1(*unused):
            raise TemplateRuntimeError("No filter named 'duration' found.")
    try:
        t_2 = environment.filters['length']
    except KeyError:
        @internalcode
        def t_2(*unused):
            raise TemplateRuntimeError("No filter named 'length' found.")
    try:
        t_3 = environment.filters['look']
    except KeyError:
        @internalcode
        def t_3(*unused):
            raise TemplateRuntimeError("No filter named 'look' found.")
    try:
        t_4 = environment.filters['moment']
    except KeyError:
        @internalcode
        def t_4(*unused):
            raise TemplateRuntimeError("No filter named 'moment' found.")
    try:
        t_5 = environment.filters['sign']
    except KeyError:
        @internalcode
        def t_5(*unused):
            raise TemplateRuntimeError("No filter named 'sign' found.")
    try:
        t_6 = environment.filters['utc']
    except KeyError:
        @internalcode
        def t_6(*unused):
            raise TemplateRuntimeError("No filter named 'utc' found.")
    t_7 = []
    pass
    included_template = environment.get_template('frame.html', 'unit.html')._get_default_module(context)
    l_0_head = getattr(included_template, 'head', missing)
    if l_0_head is missing:
        l_0_head = undefined(f"the template {included_template.__name__!r} (imported on line 1 in 'unit.html') does not export the requested name 'head'", name='head')
    l_0_foot = getattr(included_template, 'foot', missing)
    if l_0_foot is missing:
        l_0_foot = undefined(f"the template {included_template.__name__!r} (imported on line 1 in 'unit.html') does not export the requested name 'foot'", name='foot')
    l_0_brand_line = getattr(included_template, 'brand_line', missing)
    if l_0_brand_line is missing:
        l_0_brand_line = undefined(f"the template {included_template.__name__!r} (imported on line 1 in 'unit.html') does not export the requested name 'brand_line'", name='brand_line')
    l_0_since = getattr(included_template, 'since', missing)
    if l_0_since is missing:
        l_0_since = undefined(f"the template {included_template.__name__!r} (imported on line 1 in 'unit.html') does not export the requested name 'since'", name='since')
    context.vars.update({'head': l_0_head, 'foot': l_0_foot, 'brand_line': l_0_brand_line, 'since': l_0_since})
    context.exported_vars.difference_update(('head', 'foot', 'brand_line', 'since'))
    included_template = environment.get_template('step.html', 'unit.html')._get_default_module(context)
    l_0_state = getattr(included_template, 'state', missing)
    if l_0_state is missing:
        l_0_state = undefined(f"the template {included_template.__name__!r} (imported on line 2 in 'unit.html') does not export the requested name 'state'", name='state')
    context.vars['state'] = l_0_state
    context.exported_vars.discard('state')
    included_template = environment.get_template('trends.html', 'unit.html')._get_default_module(context)
    l_0_trends = getattr(included_template, 'trends', missing)
    if l_0_trends is missing:
        l_0_trends = undefined(f"the template {included_template.__name__!r} (imported on line 3 in 'unit.html') does not export the requested name 'trends'", name='trends')
    context.vars['trends'] = l_0_trends
    context.exported_vars.discard('trends')
    v_0 = (l_0_head(markup_join(((markup_join((l_0_brand.title, ', ', )) if l_0_brand else ''), 'DUT ', l_0_page.name, )), l_0_digest))
    v_1 = (t_3(l_0_page.verdict))
    v_2 = (l_0_brand_line(l_0_brand))
    v_3 = (t_5(l_0_page.verdict))
    v_6 = (t_2(l_0_page.rows))
    v_7 = (('s' if (t_2(l_0_page.rows) != 1) else ''))
    v_4, v_5 = all_escaped((l_0_page.verdict, l_0_page.name))
    t_7.append(
        f'{v_0}'
        f'\n<body>\n<a class="skip" href="#runs">Skip to the runs</a>\n<header class="verdict {v_1}'
        f'">\n  <div class="inner">\n    {v_2}'
        f'\n    <h1><span class="sign" aria-hidden="true">{v_3}'
        f'</span> {v_4}'
        f' <span class="of">DUT {v_5}'
        f'</span></h1>\n    <p class="counts"><span class="quiet">{v_6}'
        f' run{v_7}'
        f' of a recipe:</span>\n'
    )
    for (l_1_word, l_1_number) in l_0_page.counts.items():
        pass
        v_0 = (l_0_state(l_1_word))
        v_1 = escaped(l_1_number)
        t_7.append(
            f'      <span class="count">{v_0}'
            f' {v_1}'
            f'</span>\n'
        )
    l_1_word = l_1_number = missing
    t_7.append(
        f'    </p>\n    <dl class="facts">\n'
    )
    for (l_1_label, l_1_text) in l_0_page.facts:
        pass
        v_0, v_1 = all_escaped((l_1_label, l_1_text))
        t_7.append(
            f'      <div><dt>{v_0}'
            f'</dt><dd>{v_1}'
            f'</dd></div>\n'
        )
    l_1_label = l_1_text = missing
    v_0 = (l_0_since(l_0_page.first, l_0_page.last))
    t_7.append(
        f'      {v_0}'
        f'\n    </dl>\n    <nav aria-label="Sections">\n      <a href="#runs">Runs</a>'
    )
    if l_0_page.trends:
        pass
        t_7.append(
            f' <a href="#trends">Measurements</a>'
        )
    t_7.append(
        f'\n      <button type="button" class="theme scripted-only">Theme</button>\n    </nav>\n  </div>\n</header>\n<main>\n<section id="runs" aria-labelledby="runs-head">\n  <h2 id="runs-head">Runs</h2>\n'
    )
    if l_0_page.more_rows:
        pass
        v_0 = (t_2(l_0_page.shown))
        v_1 = (t_2(l_0_page.rows))
        t_7.append(
            f'<p class="quiet">Showing the newest {v_0}'
            f' of {v_1}'
            f'.</p>'
        )
    v_0 = ((' tall' if (t_2(l_0_page.shown) > 60) else ''))
    t_7.append(
        f'\n  <div class="scroll{v_0}'
        f'" tabindex="0" role="region" aria-label="Table of runs"><table class="history-of"><thead><tr><th scope="col">Started</th><th scope="col">Verdict</th><th scope="col">Recipe</th><th scope="col" class="number">Duration</th><th scope="col">Station</th><th scope="col">Operator</th><th scope="col">Run</th><th scope="col">Cause</th></tr></thead><tbody>\n'
    )
    for l_1_one in l_0_page.shown:
        pass
        v_3 = (l_0_state(l_1_one.verdict))
        v_0, v_1, v_2 = all_escaped((l_1_one.started, t_6(l_1_one.started), t_4(l_1_one.started)))
        t_7.append(
            f'  <tr><th scope="row"><time datetime="{v_0}'
            f'" title="{v_1}'
            f'">{v_2}'
            f'</time></th><td>{v_3}'
        )
        if l_1_one.part:
            pass
            v_0 = escaped(l_1_one.part)
            t_7.append(
                f' <span class="of">{v_0}'
                f'</span>'
            )
        v_1 = (t_1(l_1_one.seconds))
        v_0, v_2, v_3, v_4, v_5 = all_escaped((l_1_one.recipe, l_1_one.station, l_1_one.operator, l_1_one.run, l_1_one.cause))
        t_7.append(
            f'</td><td class="wide">{v_0}'
            f'</td><td class="number">{v_1}'
            f'</td><td data-label="station">{v_2}'
            f'</td><td data-label="operator">{v_3}'
            f'</td><td><code>{v_4}'
            f'</code></td><td class="wide">{v_5}'
            f'</td></tr>\n'
        )
    l_1_one = missing
    t_7.append(
        f'  </tbody></table></div>\n</section>\n'
    )
    if l_0_page.trends:
        pass
        v_0 = (l_0_trends(l_0_page.trends, 'Measurements over the runs', l_0_page.trends_note))
        t_7.append(
            f'{v_0}'
            f'\n'
        )
    v_0 = (l_0_foot('Made by pytest-orchestrator from the history of the project.', l_0_page.trends, l_0_script))
    t_7.append(
        f'</main>\n{v_0}'
        f'\n</body>\n</html>'
    )
    yield concat(t_7)

blocks = {}
debug_info = '1=51&2=66&3=72&12=96&17=109&23=123&32=131&35=145&36=155&40=177'
