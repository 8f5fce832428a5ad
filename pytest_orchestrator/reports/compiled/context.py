"""`templates/context.html`, compiled by Jinja2 3.1.6."""

from pytest_orchestrator.reports.templating import TemplateRuntimeError, all_escaped, escaped, internalcode, missing, Environment as environment
name = 'context.html'

def root(context, missing=missing, environment=environment):
    resolve = context.resolve_or_missing
    undefined = environment.undefined
    concat = environment.concat
    l_0_context = l_0_branch = missing
    try:
        t_1 = environment.filters['clock']
    except KeyError:
        @internalcode
        def t_1(*unused):
            raise TemplateRuntimeError("No filter named 'clock' found.")
    try:
        t_2 = environment.filters['cut']
    except KeyError:
        @internalcode
        def t_2(*unused):
            raise TemplateRuntimeError("No filter named 'cut' found.")
    try:
        t_3 = environment.tests['none']
    except KeyError:
        @internalcode
        def t_3(*unused):
            raise TemplateRuntimeError("No test named 'none' found.")
    t_4 = []
    pass
    def macro(l_1_view):
        t_5 = []
        if l_1_view is missing:
            l_1_view = undefined("parameter 'view' was not provided", name='view')
        pass
        t_5.append(
            f'<ul class="tree">'
        )
        for l_2_one in l_1_view.branches:
            pass
            v_0 = (l_0_branch(l_1_view, l_2_one))
            t_5.append(
                f'{v_0}'
            )
        l_2_one = missing
        t_5.append(
            f'</ul>\n'
        )
        if l_1_view.left_out:
            pass
            v_0 = escaped(l_1_view.left_out)
            t_5.append(
                f'<p class="quiet">Showing the first keys; the journal has {v_0}'
                f' more.</p>'
            )
        return concat(t_5)
    context.exported_vars.add('context')
    context.vars['context'] = l_0_context = macro
    t_4.append(
        f'\n'
    )
    def macro(l_1_view, l_1_one):
        t_6 = []
        l_1_key = missing
        if l_1_view is missing:
            l_1_view = undefined("parameter 'view' was not provided", name='view')
        if l_1_one is missing:
            l_1_one = undefined("parameter 'one' was not provided", name='one')
        pass
        t_6.append(
            f'<li>'
        )
        if (not t_3(l_1_one.key)):
            pass
            l_1_key = l_1_view.key(l_1_one.key)
            v_0 = escaped(t_2(l_1_one.name, 200))
            t_6.append(
                f'<details class="key"><summary><span class="name">{v_0}'
                f'</span> '
            )
            if t_3(l_1_key.value):
                pass
                t_6.append(
                    f'<span class="quiet">deleted</span>'
                )
            else:
                pass
                v_0 = escaped(l_1_key.value)
                t_6.append(
                    f'<code>{v_0}'
                    f'</code>'
                )
            t_6.append(
                f'</summary>\n'
            )
            if l_1_key.more:
                pass
                v_0 = escaped(l_1_key.more)
                t_6.append(
                    f'<p class="quiet">The journal has {v_0}'
                    f' earlier changes.</p>'
                )
            t_6.append(
                f'<ol class="history">\n'
            )
            for l_2_row in l_1_key.rows:
                pass
                v_0, v_1 = all_escaped((l_2_row.ts, t_1(l_2_row.ts)))
                t_6.append(
                    f'<li><time datetime="{v_0}'
                    f'">{v_1}'
                    f'</time> '
                )
                if l_2_row.anchor:
                    pass
                    v_0, v_1 = all_escaped((l_2_row.anchor, l_2_row.who))
                    t_6.append(
                        f'<a href="#{v_0}'
                        f'">{v_1}'
                        f'</a>'
                    )
                else:
                    pass
                    v_0 = escaped(l_2_row.who)
                    t_6.append(
                        f'{v_0}'
                    )
                v_0 = escaped(l_2_row.op)
                t_6.append(
                    f' {v_0}'
                    f' '
                )
                if l_2_row.old:
                    pass
                    v_0 = escaped(l_2_row.old)
                    t_6.append(
                        f'<code>{v_0}'
                        f'</code> '
                    )
                if (l_2_row.op not in ('delete', 'pop')):
                    pass
                    v_0 = escaped(l_2_row.new)
                    t_6.append(
                        f'→ <code>{v_0}'
                        f'</code>'
                    )
                v_0 = ((', masked' if l_2_row.masked else ''))
                t_6.append(
                    f'{v_0}'
                    f'</li>\n'
                )
            l_2_row = missing
            t_6.append(
                f'</ol></details>\n'
            )
            if l_1_one.branches:
                pass
                t_6.append(
                    f'<ul class="tree">'
                )
                for l_2_below in l_1_one.branches:
                    pass
                    v_0 = (l_0_branch(l_1_view, l_2_below))
                    t_6.append(
                        f'{v_0}'
                    )
                l_2_below = missing
                t_6.append(
                    f'</ul>'
                )
        else:
            pass
            v_0 = ((' open' if l_1_view.is_small else ''))
            v_1, v_2 = all_escaped((t_2(l_1_one.name, 200), l_1_one.keys))
            t_6.append(
                f'<details class="branch"{v_0}'
                f'><summary><span class="name">{v_1}'
                f'</span> <span class="quiet">{v_2}'
                f' keys</span></summary><ul class="tree">'
            )
            for l_2_below in l_1_one.branches:
                pass
                v_0 = (l_0_branch(l_1_view, l_2_below))
                t_6.append(
                    f'{v_0}'
                )
            l_2_below = missing
            t_6.append(
                f'</ul></details>\n'
            )
        t_6.append(
            f'</li>\n'
        )
        return concat(t_6)
    context.exported_vars.add('branch')
    context.vars['branch'] = l_0_branch = macro
    yield concat(t_4)

blocks = {}
debug_info = '1=29&2=37&3=47&6=60&7=71&8=79&9=94&11=104&12=112&15=154&17=179'
