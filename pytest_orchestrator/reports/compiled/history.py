"""`templates/history.html`, compiled by Jinja2 3.1.6."""

from pytest_orchestrator.reports.templating import LoopContext, TemplateRuntimeError, all_escaped, escaped, internalcode, missing, Environment as environment
name = 'history.html'

def root(context, missing=missing, environment=environment):
    resolve = context.resolve_or_missing
    undefined = environment.undefined
    concat = environment.concat
    l_0_history = l_0_link = l_0_past = missing
    try:
        t_1 = environment.filters['length']
    except KeyError:
        @internalcode
        def t_1(*unused):
            raise TemplateRuntimeError("No filter named 'length' found.")
    try:
        t_2 = environment.filters['safe']
    except KeyError:
        @internalcode
        def t_2(*unused):
            raise TemplateRuntimeError("No filter named 'safe' found.")
    t_3 = []
    pass
    def macro(l_1_one, l_1_is_open):
        t_4 = []
        if l_1_one is missing:
            l_1_one = undefined("parameter 'one' was not provided", name='one')
        if l_1_is_open is missing:
            l_1_is_open = undefined("parameter 'is_open' was not provided", name='is_open')
        pass
        v_0 = ((' open' if l_1_is_open else ''))
        v_1, v_2 = all_escaped((l_1_one.place.title, l_1_one.summary))
        t_4.append(
            f'<details class="past"{v_0}'
            f'><summary><span class="name">{v_1}'
            f'</span> <span class="of">{v_2}'
            f'</span>'
        )
        for l_2_name in l_1_one.flaky[:5]:
            pass
            v_0 = escaped(l_2_name)
            t_4.append(
                f' <span class="state blocked">⇄ flaky: {v_0}'
                f'</span>'
            )
        l_2_name = missing
        t_4.append(
            f'</summary>\n'
        )
        if l_1_one.changes:
            pass
            v_0 = (l_0_link(l_1_one.good))
            v_1, v_2 = all_escaped((l_1_one.good.moment, l_1_one.place.title))
            t_4.append(
                f'<h3>Changed since {v_0}'
                f' <span class="of">{v_1}'
                f', the last run of this recipe that passed</span></h3>\n<div class="scroll" tabindex="0" role="region" aria-label="Changes of {v_2}'
                f'"><table class="changes"><thead><tr><th scope="col">What</th><th scope="col">Name</th><th scope="col">Then</th><th scope="col">Now</th></tr></thead><tbody>\n'
            )
            for l_2_row in l_1_one.changes:
                pass
                v_0, v_1, v_2, v_3 = all_escaped((l_2_row.kind, l_2_row.name, l_2_row.was, l_2_row.now))
                t_4.append(
                    f'<tr><td>{v_0}'
                    f'</td><th scope="row" class="wide">{v_1}'
                    f'</th><td class="wide">{v_2}'
                    f'</td><td class="wide">{v_3}'
                    f'</td></tr>\n'
                )
            l_2_row = missing
            t_4.append(
                f'</tbody></table></div>\n'
            )
            if l_1_one.difference:
                pass
                v_0 = escaped(l_1_one.difference)
                t_4.append(
                    f'<details class="more"><summary>Lines of the recipe that changed</summary><pre class="text" tabindex="0"><code>{v_0}'
                    f'</code></pre></details>'
                )
            t_4.append(
                f'\n'
            )
        elif l_1_one.good:
            pass
            v_0 = (l_0_link(l_1_one.good))
            v_1 = escaped(l_1_one.good.moment)
            t_4.append(
                f'<p>Nothing recorded has changed since {v_0}'
                f' <span class="of">{v_1}'
                f', the last run of this recipe that passed</span>: recipe, files of its steps, vars, packages and machine are the same, and no figure is out of the usual.</p>\n'
            )
        else:
            pass
            t_4.append(
                f'<p class="quiet">The recipe passed in none of the earlier runs.</p>\n'
            )
        v_0 = escaped(l_1_one.place.title)
        t_4.append(
            f'<div class="scroll runs" tabindex="0" role="region" aria-label="Runs of {v_0}'
            f'"><table class="grid"><thead>\n<tr><th scope="row" class="step-name"><span class="quiet">started</span></th>'
        )
        l_2_loop = missing
        for l_2_run, l_2_loop in LoopContext(l_1_one.columns, undefined):
            pass
            v_0 = ((' now' if (l_2_loop.index == t_1(l_1_one.columns)) else ''))
            t_4.append(
                f'<th scope="col" class="turned{v_0}'
                f'">'
            )
            if l_2_run.href:
                pass
                v_0, v_1, v_2, v_3 = all_escaped((l_2_run.href, l_2_run.run, l_2_run.moment, l_2_run.date))
                t_4.append(
                    f'<a href="{v_0}'
                    f'" title="{v_1}'
                    f', {v_2}'
                    f'">{v_3}'
                    f'</a>'
                )
            else:
                pass
                v_0, v_1, v_2 = all_escaped((l_2_run.run, l_2_run.moment, l_2_run.date))
                t_4.append(
                    f'<span title="{v_0}'
                    f', {v_1}'
                    f'">{v_2}'
                    f'</span>'
                )
            t_4.append(
                f'</th>'
            )
        l_2_loop = l_2_run = missing
        t_4.append(
            f'<th scope="col" class="rate">passed</th></tr>\n'
        )
        if l_1_one.has_dut:
            pass
            t_4.append(
                f'<tr><th scope="row" class="step-name"><span class="quiet">unit under test</span></th>'
            )
            for l_2_run in l_1_one.columns:
                pass
                v_0 = escaped(l_2_run.dut)
                t_4.append(
                    f'<td class="turned">{v_0}'
                    f'</td>'
                )
            l_2_run = missing
            t_4.append(
                f'<td></td></tr>'
            )
        t_4.append(
            f'\n</thead><tbody>\n<tr class="of-recipe"><th scope="row" class="step-name">recipe</th>'
        )
        for l_2_cell in l_1_one.verdicts:
            pass
            v_0 = (l_0_past(l_2_cell))
            t_4.append(
                f'{v_0}'
            )
        l_2_cell = missing
        t_4.append(
            f'<td class="rate"></td></tr>\n'
        )
        for l_2_row in l_1_one.rows:
            pass
            t_4.append(
                f'<tr><th scope="row" class="step-name">'
            )
            if l_2_row.is_flaky:
                pass
                t_4.append(
                    f'<span class="state blocked">⇄ flaky</span> '
                )
            v_0, v_1 = all_escaped((l_2_row.anchor, l_2_row.name))
            t_4.append(
                f'<a href="#{v_0}'
                f'">{v_1}'
                f'</a></th>'
            )
            for l_3_cell in l_2_row.cells:
                pass
                v_0 = (l_0_past(l_3_cell))
                t_4.append(
                    f'{v_0}'
                )
            l_3_cell = missing
            v_0 = escaped(l_2_row.rate)
            t_4.append(
                f'<td class="rate">{v_0}'
                f'</td></tr>\n'
            )
        l_2_row = missing
        t_4.append(
            f'</tbody></table></div>\n<p class="legend quiet">'
        )
        for l_2_text in l_1_one.legend:
            pass
            v_0 = escaped(l_2_text)
            t_4.append(
                f'<span>{v_0}'
                f'</span>'
            )
        l_2_text = missing
        if l_1_one.flaky:
            pass
            t_4.append(
                f'<span>⇄ flaky: passed and failed in turn though step and unit were the same, or passed only at another attempt</span>'
            )
        t_4.append(
            f'</p>\n'
        )
        if l_1_one.left_out:
            pass
            v_0 = escaped(l_1_one.left_out)
            t_4.append(
                f'<p class="quiet">{v_0}'
                f'</p>'
            )
        t_4.append(
            f'\n</details>\n'
        )
        return concat(t_4)
    context.exported_vars.add('history')
    context.vars['history'] = l_0_history = macro
    t_3.append(
        f'\n'
    )
    def macro(l_1_run):
        t_5 = []
        if l_1_run is missing:
            l_1_run = undefined("parameter 'run' was not provided", name='run')
        pass
        if l_1_run.href:
            pass
            v_0, v_1 = all_escaped((l_1_run.href, l_1_run.run))
            t_5.append(
                f'<a href="{v_0}'
                f'"><code>{v_1}'
                f'</code></a>'
            )
        else:
            pass
            v_0 = escaped(l_1_run.run)
            t_5.append(
                f'<code>{v_0}'
                f'</code>'
            )
        return concat(t_5)
    context.exported_vars.add('link')
    context.vars['link'] = l_0_link = macro
    t_3.append(
        f'\n'
    )
    def macro(l_1_cell):
        t_6 = []
        if l_1_cell is missing:
            l_1_cell = undefined("parameter 'cell' was not provided", name='cell')
        pass
        t_6.append(
            f'<td>'
        )
        if l_1_cell.href:
            pass
            v_0 = (l_1_cell.look)
            v_1, v_2, v_3 = all_escaped((l_1_cell.href, l_1_cell.title, l_1_cell.sign))
            t_6.append(
                f'<a class="{v_0}'
                f'" href="{v_1}'
                f'" title="{v_2}'
                f'">{v_3}'
                f'</a>'
            )
        elif l_1_cell.sign:
            pass
            v_0 = (l_1_cell.look)
            v_1, v_2 = all_escaped((l_1_cell.title, l_1_cell.sign))
            t_6.append(
                f'<span class="{v_0}'
                f'" title="{v_1}'
                f'">{v_2}'
                f'</span>'
            )
        t_6.append(
            f'</td>'
        )
        return concat(t_6)
    context.exported_vars.add('past')
    context.vars['past'] = l_0_past = macro
    yield concat(t_3)

blocks = {}
debug_info = '1=23&2=38&3=49&6=59&10=73&12=83&18=103&19=136&22=155&23=165&24=170&27=197&28=213&33=229&35=255'
