"""`templates/statistics.html`, compiled by Jinja2 3.1.6."""

from pytest_orchestrator.reports.templating import LoopContext, TemplateRuntimeError, all_escaped, escaped, internalcode, markup_join, missing, Environment as environment
name = 'statistics.html'

def root(context, missing=missing, environment=environment):
    resolve = context.resolve_or_missing
    undefined = environment.undefined
    concat = environment.concat
    l_0_brand = resolve('brand')
    l_0_page = resolve('page')
    l_0_digest = resolve('digest')
    l_0_script = resolve('script')
    l_0_head = l_0_foot = l_0_brand_line = l_0_since = l_0_trends = l_0_verdict = l_0_bar = missing
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
        t_3 = environment.filters['safe']
    except KeyError:
        @internalcode
        def t_3(*unused):
            raise TemplateRuntimeError("No filter named 'safe' found.")
    t_4 = []
    pass
    included_template = environment.get_template('frame.html', 'statistics.html')._get_default_module(context)
    l_0_head = getattr(included_template, 'head', missing)
    if l_0_head is missing:
        l_0_head = undefined(f"the template {included_template.__name__!r} (imported on line 1 in 'statistics.html') does not export the requested name 'head'", name='head')
    l_0_foot = getattr(included_template, 'foot', missing)
    if l_0_foot is missing:
        l_0_foot = undefined(f"the template {included_template.__name__!r} (imported on line 1 in 'statistics.html') does not export the requested name 'foot'", name='foot')
    l_0_brand_line = getattr(included_template, 'brand_line', missing)
    if l_0_brand_line is missing:
        l_0_brand_line = undefined(f"the template {included_template.__name__!r} (imported on line 1 in 'statistics.html') does not export the requested name 'brand_line'", name='brand_line')
    l_0_since = getattr(included_template, 'since', missing)
    if l_0_since is missing:
        l_0_since = undefined(f"the template {included_template.__name__!r} (imported on line 1 in 'statistics.html') does not export the requested name 'since'", name='since')
    context.vars.update({'head': l_0_head, 'foot': l_0_foot, 'brand_line': l_0_brand_line, 'since': l_0_since})
    context.exported_vars.difference_update(('head', 'foot', 'brand_line', 'since'))
    included_template = environment.get_template('trends.html', 'statistics.html')._get_default_module(context)
    l_0_trends = getattr(included_template, 'trends', missing)
    if l_0_trends is missing:
        l_0_trends = undefined(f"the template {included_template.__name__!r} (imported on line 2 in 'statistics.html') does not export the requested name 'trends'", name='trends')
    context.vars['trends'] = l_0_trends
    context.exported_vars.discard('trends')
    def macro(l_1_word, l_1_look, l_1_sign):
        t_5 = []
        if l_1_word is missing:
            l_1_word = undefined("parameter 'word' was not provided", name='word')
        if l_1_look is missing:
            l_1_look = undefined("parameter 'look' was not provided", name='look')
        if l_1_sign is missing:
            l_1_sign = undefined("parameter 'sign' was not provided", name='sign')
        pass
        v_0 = (l_1_look)
        v_1 = (l_1_sign)
        v_2 = (l_1_word)
        t_5.append(
            f'<span class="state {v_0}'
            f'"><span aria-hidden="true">{v_1}'
            f'</span> {v_2}'
            f'</span>'
        )
        return concat(t_5)
    context.exported_vars.add('verdict')
    context.vars['verdict'] = l_0_verdict = macro
    t_4.append(
        f'\n'
    )
    def macro(l_1_width, l_1_look):
        t_6 = []
        if l_1_width is missing:
            l_1_width = undefined("parameter 'width' was not provided", name='width')
        if l_1_look is missing:
            l_1_look = undefined("parameter 'look' was not provided", name='look')
        pass
        v_0 = (l_1_look)
        v_1 = escaped(l_1_width)
        t_6.append(
            f'<span class="share"><span class="{v_0}'
            f'" style="width:{v_1}'
            f'%"></span></span>'
        )
        return concat(t_6)
    context.exported_vars.add('bar')
    context.vars['bar'] = l_0_bar = macro
    v_0 = (l_0_head(markup_join(((markup_join((l_0_brand.title, ', ', )) if l_0_brand else ''), 'statistics of ', l_0_page.total.runs, ' runs', )), l_0_digest))
    v_1 = (l_0_brand_line(l_0_brand))
    v_9 = (l_0_since(l_0_page.first, l_0_page.last))
    v_2, v_3, v_4, v_5, v_6, v_7, v_8 = all_escaped(((l_0_page.selected or 'all runs'), l_0_page.total.units, l_0_page.total.runs, l_0_page.total.first, l_0_page.total.first_of, l_0_page.total.final, l_0_page.total.final_of))
    t_4.append(
        f'{v_0}'
        f'\n<body>\n<a class="skip" href="#measurements">Skip to the measurements</a>\n<header class="verdict waiting">\n  <div class="inner">\n    {v_1}'
        f'\n    <h1>Statistics <span class="of">{v_2}'
        f'</span></h1>\n    <dl class="facts">\n      <div><dt>Units</dt><dd>{v_3}'
        f'</dd></div>\n      <div><dt>Runs counted</dt><dd>{v_4}'
        f'</dd></div>\n      <div><dt>First-pass yield</dt><dd>{v_5}'
        f' <i>{v_6}'
        f'</i></dd></div>\n      <div><dt>Final yield</dt><dd>{v_7}'
        f' <i>{v_8}'
        f'</i></dd></div>\n      {v_9}'
        f'\n'
    )
    if l_0_page.statistics.simulated:
        pass
        v_0 = escaped(l_0_page.statistics.simulated)
        t_4.append(
            f'<div><dt>Simulated</dt><dd>{v_0}'
            f' of the runs used simulated instruments</dd></div>'
        )
    t_4.append(
        f'\n'
    )
    if l_0_page.left_out:
        pass
        v_0 = escaped(t_1(l_0_page.left_out, ', '))
        t_4.append(
            f'<div><dt>Not counted</dt><dd>{v_0}'
            f'</dd></div>'
        )
    t_4.append(
        f'\n    </dl>\n    <nav aria-label="Sections">\n      <a href="#yields">Yields</a> <a href="#failures">Failures</a>'
    )
    if l_0_page.measurements:
        pass
        t_4.append(
            f' <a href="#measurements">Measurements</a>'
        )
    if l_0_page.trends:
        pass
        t_4.append(
            f' <a href="#trends">Over the runs</a>'
        )
    t_4.append(
        f'\n      <button type="button" class="theme scripted-only">Theme</button>\n    </nav>\n  </div>\n</header>\n<main>\n'
    )
    if (not l_0_page.total.runs):
        pass
        t_4.append(
            f'<section class="notice" aria-labelledby="none-head"><h2 id="none-head">No run counts</h2><p>A run counts if it names a serial number, all steps of the recipe were selected, and it was not interrupted.</p></section>\n'
        )
    t_4.append(
        f'<section id="yields" aria-labelledby="yields-head">\n  <h2 id="yields-head">Yields</h2>\n'
    )
    l_1_loop = missing
    for l_1_table, l_1_loop in LoopContext(l_0_page.yields, undefined):
        pass
        if (l_1_loop.index > 1):
            pass
            v_0 = escaped(l_1_table.title)
            t_4.append(
                f'<h3>By {v_0}'
                f'</h3>'
            )
        v_0, v_1 = all_escaped((l_1_table.title, l_1_table.head))
        t_4.append(
            f'\n  <div class="scroll" tabindex="0" role="region" aria-label="Yields by {v_0}'
            f'"><table class="yields"><thead><tr><th scope="col">{v_1}'
            f'</th><th scope="col" class="number">Units</th><th scope="col" class="number">Runs</th><th scope="col">First-pass yield</th><th scope="col">Final yield</th></tr></thead><tbody>\n'
        )
        for l_2_one in l_1_table.rows:
            pass
            v_3 = (l_0_bar(l_2_one.first_width, 'passed'))
            v_6 = (l_0_bar(l_2_one.final_width, 'passed'))
            v_0, v_1, v_2, v_4, v_5, v_7, v_8 = all_escaped((l_2_one.name, l_2_one.units, l_2_one.runs, l_2_one.first, l_2_one.first_of, l_2_one.final, l_2_one.final_of))
            t_4.append(
                f'  <tr><th scope="row" class="wide">{v_0}'
                f'</th><td class="number" data-label="units">{v_1}'
                f'</td><td class="number" data-label="runs">{v_2}'
                f'</td><td data-label="first pass">{v_3}'
                f' {v_4}'
                f' <span class="of">{v_5}'
                f'</span></td><td data-label="final">{v_6}'
                f' {v_7}'
                f' <span class="of">{v_8}'
                f'</span></td></tr>\n'
            )
        l_2_one = missing
        t_4.append(
            f'  </tbody></table></div>\n'
        )
    l_1_loop = l_1_table = missing
    t_4.append(
        f'</section>\n<section id="failures" aria-labelledby="failures-head">\n  <h2 id="failures-head">Failures by step and reason</h2>\n'
    )
    if l_0_page.failures:
        pass
        t_4.append(
            f'  <div class="scroll" tabindex="0" role="region" aria-label="Pareto chart of failures"><table class="pareto"><thead><tr><th scope="col">Step</th><th scope="col">Reason of the newest</th><th scope="col" class="number">Number</th><th scope="col">Share</th><th scope="col" class="number">Together</th><th scope="col">Units</th></tr></thead><tbody>\n'
        )
        for l_1_one in l_0_page.failures:
            pass
            v_0 = escaped(l_1_one.step)
            t_4.append(
                f'  <tr><th scope="row" class="wide">{v_0}'
            )
            if l_1_one.recipe:
                pass
                v_0 = escaped(l_1_one.recipe)
                t_4.append(
                    f' <span class="of">{v_0}'
                    f'</span>'
                )
            t_4.append(
                f'</th><td class="wide">'
            )
            if l_1_one.kind:
                pass
                v_0 = escaped(l_1_one.kind)
                t_4.append(
                    f'<span class="kind">{v_0}'
                    f'</span> '
                )
            v_2 = (l_0_bar(l_1_one.width, 'failed'))
            v_0, v_1, v_3, v_4, v_5 = all_escaped((l_1_one.reason, l_1_one.number, l_1_one.share, l_1_one.cumulative, l_1_one.units))
            t_4.append(
                f'{v_0}'
                f'</td><td class="number" data-label="number">{v_1}'
                f'</td><td class="bar" data-label="share">{v_2}'
                f' {v_3}'
                f'</td><td class="number" data-label="together">{v_4}'
                f'</td><td class="wide" data-label="units">{v_5}'
            )
            if l_1_one.more:
                pass
                v_0 = escaped(l_1_one.more)
                t_4.append(
                    f' +{v_0}'
                )
            t_4.append(
                f'</td></tr>\n'
            )
        l_1_one = missing
        t_4.append(
            f'  </tbody></table></div>\n'
        )
        if l_0_page.more_failures:
            pass
            v_0 = escaped(l_0_page.more_failures)
            t_4.append(
                f'<p class="quiet">{v_0}'
                f' more groups are not shown.</p>'
            )
        t_4.append(
            f'\n'
        )
    else:
        pass
        t_4.append(
            f'  <p>No step failed.</p>\n'
        )
    t_4.append(
        f'</section>\n'
    )
    if l_0_page.measurements:
        pass
        v_0 = (t_2(l_0_page.measurements))
        t_4.append(
            f'<section id="measurements" aria-labelledby="measurements-head">\n  <h2 id="measurements-head">Measurements <span class="quiet found" aria-live="polite">{v_0}'
            f'</span></h2>\n  <div class="controls scripted-only" role="group" aria-label="Filter measurements">\n    <input type="search" class="find" placeholder="Search measurement, step, recipe" aria-label="Search the measurements">\n'
        )
        for (l_1_word, l_1_number) in l_0_page.words.items():
            pass
            v_0 = (l_1_word)
            v_1 = escaped(l_1_number)
            t_4.append(
                f'    <button type="button" aria-pressed="false" data-verdict="{v_0}'
                f'">{v_0}'
                f' {v_1}'
                f'</button>\n'
            )
        l_1_word = l_1_number = missing
        t_4.append(
            f'    <button type="button" class="csv">Copy as CSV</button>\n  </div>\n'
        )
        if l_0_page.more_rows:
            pass
            v_0 = (t_2(l_0_page.measurements))
            v_1 = escaped((t_2(l_0_page.measurements) + l_0_page.more_rows))
            t_4.append(
                f'<p class="quiet">Showing {v_0}'
                f' of {v_1}'
                f' measurements, those with the smallest Cpk.</p>'
            )
        v_0 = ((' tall' if (t_2(l_0_page.measurements) > 60) else ''))
        t_4.append(
            f'\n  <div class="scroll{v_0}'
            f'" tabindex="0" role="region" aria-label="Table of measurements"><table class="all-measured capability"><thead><tr><th scope="col"><button type="button" class="sort">Step</button></th><th scope="col"><button type="button" class="sort">Measurement</button></th><th scope="col"><button type="button" class="sort">Unit</button></th>'
        )
        for l_1_title in l_0_page.titles:
            pass
            v_0 = (l_1_title)
            t_4.append(
                f'<th scope="col" class="number"><button type="button" class="sort">{v_0}'
                f'</button></th>'
            )
        l_1_title = missing
        t_4.append(
            f'<th scope="col"><button type="button" class="sort">Verdict</button></th></tr></thead><tbody>\n'
        )
        for l_1_one in l_0_page.measurements:
            pass
            v_0 = (l_1_one.word)
            v_1 = escaped(l_1_one.step)
            t_4.append(
                f'  <tr data-verdict="{v_0}'
                f'"><td class="of-step">{v_1}'
            )
            if l_1_one.recipe:
                pass
                v_0 = escaped(l_1_one.recipe)
                t_4.append(
                    f' <span class="of">{v_0}'
                    f'</span>'
                )
            v_0 = escaped(l_1_one.name)
            t_4.append(
                f'</td><th scope="row">{v_0}'
            )
            if l_1_one.notes:
                pass
                v_0 = escaped(l_1_one.notes)
                t_4.append(
                    f' <span class="of">{v_0}'
                    f'</span>'
                )
            v_0 = escaped(l_1_one.unit)
            t_4.append(
                f'</th><td class="unit" data-label="unit">{v_0}'
                f'</td>'
            )
            for (l_2_title, l_2_text, l_2_number) in l_1_one.cells:
                pass
                v_0 = (l_2_title)
                v_1 = (l_2_number)
                v_2, v_3 = all_escaped((l_1_one.mean_exact, l_2_text))
                t_4.append(
                    f'<td class="number" data-label="{v_0}'
                    f'" data-by="{v_1}'
                    f'" title="{v_2}'
                    f'">{v_3}'
                    f'</td>'
                )
            l_2_title = l_2_text = l_2_number = missing
            v_0 = (l_1_one.word)
            v_1 = (l_0_verdict(l_1_one.word, l_1_one.look, l_1_one.sign))
            t_4.append(
                f'<td class="verdict" data-csv="{v_0}'
                f'">{v_1}'
                f'</td></tr>\n'
            )
        l_1_one = missing
        t_4.append(
            f'  </tbody></table></div>\n</section>\n'
        )
    if l_0_page.trends:
        pass
        v_0 = (l_0_trends(l_0_page.trends, 'Over the runs', l_0_page.trends_note))
        t_4.append(
            f'{v_0}'
            f'\n'
        )
    v_0 = (l_0_foot('Made by pytest-orchestrator from the history of the project. Cp and Cpk use the sample standard deviation of all values that count.', l_0_page.trends, l_0_script))
    t_4.append(
        f'</main>\n{v_0}'
        f'\n</body>\n</html>'
    )
    yield concat(t_4)

blocks = {}
debug_info = '1=33&2=48&3=54&5=78&19=112&21=122&25=132&32=145&37=154&38=156&41=169&49=194&51=199&52=205&55=245&61=263&66=270&71=284&73=298&74=309&75=317&80=364'
