"""`templates/trends.html`, compiled by Jinja2 3.1.6."""

from pytest_orchestrator.reports.templating import LoopContext, TemplateRuntimeError, all_escaped, escaped, internalcode, missing, Environment as environment
name = 'trends.html'

def root(context, missing=missing, environment=environment):
    resolve = context.resolve_or_missing
    undefined = environment.undefined
    concat = environment.concat
    l_0_state = l_0_trends = missing
    try:
        t_1 = environment.filters['cut']
    except KeyError:
        @internalcode
        def t_1(*unused):
            raise TemplateRuntimeError("No filter named 'cut' found.")
    try:
        t_2 = environment.filters['length']
    except KeyError:
        @internalcode
        def t_2(*unused):
            raise TemplateRuntimeError("No filter named 'length' found.")
    try:
        t_3 = environment.filters['moment']
    except KeyError:
        @internalcode
        def t_3(*unused):
            raise TemplateRuntimeError("No filter named 'moment' found.")
    try:
        t_4 = environment.filters['reverse']
    except KeyError:
        @internalcode
        def t_4(*unused):
            raise TemplateRuntimeError("No filter named 'reverse' found.")
    t_5 = []
    pass
    included_template = environment.get_template('step.html', 'trends.html')._get_default_module(context)
    l_0_state = getattr(included_template, 'state', missing)
    if l_0_state is missing:
        l_0_state = undefined(f"the template {included_template.__name__!r} (imported on line 1 in 'trends.html') does not export the requested name 'state'", name='state')
    context.vars['state'] = l_0_state
    context.exported_vars.discard('state')
    def macro(l_1_each, l_1_heading, l_1_note):
        t_6 = []
        if l_1_each is missing:
            l_1_each = undefined("parameter 'each' was not provided", name='each')
        if l_1_heading is missing:
            l_1_heading = undefined("parameter 'heading' was not provided", name='heading')
        if l_1_note is missing:
            l_1_note = undefined("parameter 'note' was not provided", name='note')
        pass
        v_0 = escaped(l_1_heading)
        t_6.append(
            f'<section id="trends" aria-labelledby="trends-head">\n  <h2 id="trends-head">{v_0}'
        )
        if l_1_note:
            pass
            v_0 = escaped(l_1_note)
            t_6.append(
                f' <span class="quiet">{v_0}'
                f'</span>'
            )
        t_6.append(
            f'</h2>\n  <div class="trends">\n'
        )
        l_2_loop = missing
        for l_2_one, l_2_loop in LoopContext(l_1_each, undefined):
            pass
            v_3 = (t_2(l_2_one['points']))
            v_0, v_1, v_2 = all_escaped((t_1(l_2_one['name'], 160), t_1(l_2_one['notation'].unit, 20), l_2_loop.index0))
            t_6.append(
                f'  <figure><figcaption>{v_0}'
                f'<span class="quiet"> {v_1}'
                f'</span></figcaption>\n    <div class="trend" data-trend="{v_2}'
                f'"></div>\n    <details class="more"><summary>{v_3}'
                f' runs'
            )
            if (('low' in l_2_one) or ('high' in l_2_one)):
                pass
                t_6.append(
                    f', limits'
                )
                if ('low' in l_2_one):
                    pass
                    v_0 = escaped(l_2_one['notation'].text(l_2_one['low']))
                    t_6.append(
                        f' ≥ {v_0}'
                    )
                if ('high' in l_2_one):
                    pass
                    v_0 = escaped(l_2_one['notation'].text(l_2_one['high']))
                    t_6.append(
                        f' ≤ {v_0}'
                    )
            v_0 = escaped(t_1(l_2_one['notation'].unit, 20))
            t_6.append(
                f'</summary><table><thead><tr><th scope="col">Run</th><th scope="col">Started</th><th scope="col">State</th><th scope="col" class="number">{v_0}'
                f'</th></tr></thead><tbody>\n'
            )
            for l_3_point in t_4(l_2_one['points']):
                pass
                v_2 = (l_0_state(('passed' if l_3_point['passed'] else 'failed')))
                v_0, v_1, v_3 = all_escaped((t_1(l_3_point['run'], 80), t_3(l_3_point['start']), l_3_point['text']))
                t_6.append(
                    f'    <tr><td><code>{v_0}'
                    f'</code></td><td>{v_1}'
                    f'</td><td>{v_2}'
                    f'</td><td class="number">{v_3}'
                    f'</td></tr>\n'
                )
            l_3_point = missing
            t_6.append(
                f'    </tbody></table></details>\n  </figure>\n'
            )
        l_2_loop = l_2_one = missing
        t_6.append(
            f'  </div>\n</section>\n'
        )
        return concat(t_6)
    context.exported_vars.add('trends')
    context.vars['trends'] = l_0_trends = macro
    yield concat(t_5)

blocks = {}
debug_info = '1=35&2=41&4=54&6=65&9=76&10=98'
