"""`templates/context.html`, compiled by Jinja2 3.1.6."""

from pytest_orchestrator.reports.templating import Macro, TemplateRuntimeError, Undefined, escape, internalcode, missing, Environment as environment
name = 'context.html'

def root(context, missing=missing, environment=environment):
    resolve = context.resolve_or_missing
    undefined = environment.undefined
    concat = environment.concat
    cond_expr_undefined = Undefined
    if 0: yield None
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
    pass
    def macro(l_1_view):
        t_4 = []
        if l_1_view is missing:
            l_1_view = undefined("parameter 'view' was not provided", name='view')
        pass
        t_4.append(
            '<ul class="tree">',
        )
        for l_2_one in environment.getattr(l_1_view, 'branches'):
            _loop_vars = {}
            pass
            t_4.append(
                escape(environment.finalize(context.call((undefined(name='branch') if l_0_branch is missing else l_0_branch), l_1_view, l_2_one, _loop_vars=_loop_vars))),
            )
        l_2_one = missing
        t_4.append(
            '</ul>\n',
        )
        if environment.getattr(l_1_view, 'left_out'):
            pass
            t_4.extend((
                '<p class="quiet">Showing the first keys; the journal has ',
                escape(environment.finalize(environment.getattr(l_1_view, 'left_out'))),
                ' more.</p>',
            ))
        return concat(t_4)
    context.exported_vars.add('context')
    context.vars['context'] = l_0_context = Macro(environment, macro, 'context', ('view',), False, False, False, context.eval_ctx.autoescape)
    yield '\n'
    def macro(l_1_view, l_1_one):
        t_5 = []
        l_1_key = resolve('key')
        if l_1_view is missing:
            l_1_view = undefined("parameter 'view' was not provided", name='view')
        if l_1_one is missing:
            l_1_one = undefined("parameter 'one' was not provided", name='one')
        pass
        t_5.append(
            '<li>',
        )
        if (not t_3(environment.getattr(l_1_one, 'key'))):
            pass
            l_1_key = context.call(environment.getattr(l_1_view, 'key'), environment.getattr(l_1_one, 'key'))
            t_5.extend((
                '<details class="key"><summary><span class="name">',
                escape(environment.finalize(t_2(environment.getattr(l_1_one, 'name'), 200))),
                '</span> ',
            ))
            if t_3(environment.getattr((undefined(name='key') if l_1_key is missing else l_1_key), 'value')):
                pass
                t_5.append(
                    '<span class="quiet">deleted</span>',
                )
            else:
                pass
                t_5.extend((
                    '<code>',
                    escape(environment.finalize(environment.getattr((undefined(name='key') if l_1_key is missing else l_1_key), 'value'))),
                    '</code>',
                ))
            t_5.append(
                '</summary>\n',
            )
            if environment.getattr((undefined(name='key') if l_1_key is missing else l_1_key), 'more'):
                pass
                t_5.extend((
                    '<p class="quiet">The journal has ',
                    escape(environment.finalize(environment.getattr((undefined(name='key') if l_1_key is missing else l_1_key), 'more'))),
                    ' earlier changes.</p>',
                ))
            t_5.append(
                '<ol class="history">\n',
            )
            for l_2_row in environment.getattr((undefined(name='key') if l_1_key is missing else l_1_key), 'rows'):
                _loop_vars = {}
                pass
                t_5.extend((
                    '<li><time datetime="',
                    escape(environment.finalize(environment.getattr(l_2_row, 'ts'))),
                    '">',
                    escape(environment.finalize(t_1(environment.getattr(l_2_row, 'ts')))),
                    '</time> ',
                ))
                if environment.getattr(l_2_row, 'anchor'):
                    pass
                    t_5.extend((
                        '<a href="#',
                        escape(environment.finalize(environment.getattr(l_2_row, 'anchor'))),
                        '">',
                        escape(environment.finalize(environment.getattr(l_2_row, 'who'))),
                        '</a>',
                    ))
                else:
                    pass
                    t_5.append(
                        escape(environment.finalize(environment.getattr(l_2_row, 'who'))),
                    )
                t_5.extend((
                    ' ',
                    escape(environment.finalize(environment.getattr(l_2_row, 'op'))),
                    ' ',
                ))
                if environment.getattr(l_2_row, 'old'):
                    pass
                    t_5.extend((
                        '<code>',
                        escape(environment.finalize(environment.getattr(l_2_row, 'old'))),
                        '</code> ',
                    ))
                if (environment.getattr(l_2_row, 'op') not in ('delete', 'pop')):
                    pass
                    t_5.extend((
                        '→ <code>',
                        escape(environment.finalize(environment.getattr(l_2_row, 'new'))),
                        '</code>',
                    ))
                t_5.extend((
                    escape(environment.finalize((', masked' if environment.getattr(l_2_row, 'masked') else cond_expr_undefined("the inline if-expression on line 12 in 'context.html' evaluated to false and no else section was defined.")))),
                    '</li>\n',
                ))
            l_2_row = missing
            t_5.append(
                '</ol></details>\n',
            )
            if environment.getattr(l_1_one, 'branches'):
                pass
                t_5.append(
                    '<ul class="tree">',
                )
                for l_2_below in environment.getattr(l_1_one, 'branches'):
                    _loop_vars = {}
                    pass
                    t_5.append(
                        escape(environment.finalize(context.call((undefined(name='branch') if l_0_branch is missing else l_0_branch), l_1_view, l_2_below, _loop_vars=_loop_vars))),
                    )
                l_2_below = missing
                t_5.append(
                    '</ul>',
                )
        else:
            pass
            t_5.extend((
                '<details class="branch"',
                escape(environment.finalize((' open' if environment.getattr(l_1_view, 'is_small') else cond_expr_undefined("the inline if-expression on line 17 in 'context.html' evaluated to false and no else section was defined.")))),
                '><summary><span class="name">',
                escape(environment.finalize(t_2(environment.getattr(l_1_one, 'name'), 200))),
                '</span> <span class="quiet">',
                escape(environment.finalize(environment.getattr(l_1_one, 'keys'))),
                ' keys</span></summary><ul class="tree">',
            ))
            for l_2_below in environment.getattr(l_1_one, 'branches'):
                _loop_vars = {}
                pass
                t_5.append(
                    escape(environment.finalize(context.call((undefined(name='branch') if l_0_branch is missing else l_0_branch), l_1_view, l_2_below, _loop_vars=_loop_vars))),
                )
            l_2_below = missing
            t_5.append(
                '</ul></details>\n',
            )
        t_5.append(
            '</li>\n',
        )
        return concat(t_5)
    context.exported_vars.add('branch')
    context.vars['branch'] = l_0_branch = Macro(environment, macro, 'branch', ('view', 'one'), False, False, False, context.eval_ctx.autoescape)

blocks = {}
debug_info = '1=30&2=38&3=48&6=59&7=70&8=75&9=93&11=103&12=108&15=154&17=173'
