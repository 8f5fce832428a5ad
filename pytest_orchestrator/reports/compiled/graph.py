"""`templates/graph.svg`, compiled by Jinja2 3.1.6."""

from pytest_orchestrator.reports.templating import Markup, TemplateRuntimeError, all_escaped, escaped, identity, internalcode, missing, Environment as environment
name = 'graph.svg'

def root(context, missing=missing, environment=environment):
    resolve = context.resolve_or_missing
    undefined = environment.undefined
    concat = environment.concat
    l_0_width = resolve('width')
    l_0_height = resolve('height')
    l_0_alone = resolve('alone')
    l_0_arrows = resolve('arrows')
    l_0_boxes = resolve('boxes')
    l_0_rect = missing
    try:
        t_1 = environment.filters['round']
    except KeyError:
        @internalcode
        def t_1(*unused):
            raise TemplateRuntimeError("No filter named 'round' found.")
    try:
        t_2 = environment.filters['safe']
    except KeyError:
        @internalcode
        def t_2(*unused):
            raise TemplateRuntimeError("No filter named 'safe' found.")
    t_3 = []
    pass
    v_0 = (t_1(l_0_width, 1))
    v_1 = (t_1(l_0_height, 1))
    t_3.append(
        f'<svg xmlns="http://www.w3.org/2000/svg" class="graph" width="{v_0}'
        f'" height="{v_1}'
        f'" viewBox="0 0 {v_0}'
        f' {v_1}'
        f'" role="group" aria-label="Graph of the steps">\n'
    )
    if l_0_alone:
        pass
        t_3.append(
            f'<style>\n.graph {{ font: 13px system-ui, sans-serif; --fg: #1f2328; --line: #6e7781; --bg: #ffffff; --passed: #116329; --failed: #a40e26; --blocked: #7d4e00; --running: #0550ae; --skipped: #57606a; --waiting: #57606a; --passed-bg: #dafbe1; --failed-bg: #ffebe9; --blocked-bg: #fff8c5; --running-bg: #ddf4ff; --skipped-bg: #f6f8fa; --waiting-bg: #ffffff }}\n@media (prefers-color-scheme: dark) {{ .graph {{ --fg: #e6edf3; --line: #8b949e; --bg: #0d1117; --passed: #56d364; --failed: #ff7b72; --blocked: #e3b341; --running: #79c0ff; --skipped: #9da7b3; --waiting: #9da7b3; --passed-bg: #0f2a17; --failed-bg: #3a1418; --blocked-bg: #2e2506; --running-bg: #0c2744; --skipped-bg: #161b22; --waiting-bg: #0d1117; background: #0d1117 }} }}\n.arrow {{ fill: none; stroke: var(--line); stroke-width: 1.3 }} .weak {{ stroke-dasharray: 4 3 }} .head {{ fill: var(--line) }}\n.box rect {{ stroke-width: 1.5 }} .box text {{ fill: var(--fg) }} .box .told {{ font-size: 11.5px }} .final rect {{ stroke-dasharray: 5 3 }}\n'
        )
        for l_1_one in ['passed', 'failed', 'blocked', 'running', 'skipped', 'waiting']:
            pass
            v_0 = escaped(l_1_one)
            t_3.append(
                f'.{v_0}'
                f' rect {{ fill: var(--{v_0}'
                f'-bg); stroke: var(--{v_0}'
                f') }} .{v_0}'
                f' .told {{ fill: var(--{v_0}'
                f') }}\n'
            )
        l_1_one = missing
        t_3.append(
            f'</style>\n'
        )
    t_3.append(
        f'<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto-start-reverse"><path class="head" d="M0 0L8 4L0 8z"/></marker></defs>\n'
    )
    for l_1_arrow in l_0_arrows:
        pass
        v_0 = ((' weak' if l_1_arrow.weak else ''))
        v_1 = (l_1_arrow.path)
        t_3.append(
            f'<path class="arrow{v_0}'
            f'" d="{v_1}'
            f'" marker-end="url(#head)"/>\n'
        )
    l_1_arrow = missing
    l_1_box_size = resolve('box_size')
    t_4 = []
    pass
    v_0, v_1 = all_escaped((l_1_box_size[0], l_1_box_size[1]))
    t_4.append(
        f'<rect width="{v_0}'
        f'" height="{v_1}'
        f'" rx="6"/>'
    )
    l_0_rect = (Markup if context.eval_ctx.autoescape else identity)(concat(t_4))
    context.vars['rect'] = l_0_rect
    context.exported_vars.add('rect')
    l_1_box_size = missing
    for l_1_box in l_0_boxes:
        l_1_state = l_1_href = missing
        pass
        l_1_state = l_1_box.state
        l_1_href = l_1_box.href
        if l_1_href:
            pass
            v_0 = escaped(l_1_href)
            t_3.append(
                f'<a href="{v_0}'
                f'">'
            )
        v_0 = (l_1_box.classes)
        v_1 = (l_1_box.place)
        v_3 = (l_0_rect)
        v_4 = (('18' if l_1_state else '27'))
        v_2, v_5 = all_escaped((l_1_box.title, l_1_box.label))
        t_3.append(
            f'<g class="{v_0}'
            f'" transform="{v_1}'
            f'"><title>{v_2}'
            f'</title>\n{v_3}'
            f'\n<text x="10" y="{v_4}'
            f'">{v_5}'
            f'</text>\n'
        )
        if l_1_state:
            pass
            v_0 = escaped(l_1_state)
            t_3.append(
                f'<text class="told" x="10" y="35">{v_0}'
                f'</text>\n'
            )
        t_3.append(
            f'</g>'
        )
        if l_1_href:
            pass
            t_3.append(
                f'</a>'
            )
        t_3.append(
            f'\n'
        )
    l_1_box = l_1_state = l_1_href = missing
    t_3.append(
        f'</svg>'
    )
    yield concat(t_3)

blocks = {}
debug_info = '3=37&9=42&15=60&18=79&19=83&20=86&21=87&22=88&26=109&28=119'
