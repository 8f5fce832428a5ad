"""`templates/bars.svg`, compiled by Jinja2 3.1.6."""

from pytest_orchestrator.reports.templating import TemplateRuntimeError, escaped, internalcode, missing, Environment as environment
name = 'bars.svg'

def root(context, missing=missing, environment=environment):
    resolve = context.resolve_or_missing
    undefined = environment.undefined
    concat = environment.concat
    l_0_width = resolve('width')
    l_0_height = resolve('height')
    l_0_title = resolve('title')
    l_0_colours = resolve('colours')
    l_0_grid = resolve('grid')
    l_0_ticks = resolve('ticks')
    l_0_lines = resolve('lines')
    l_0_foot = resolve('foot')
    l_0_legend = resolve('legend')
    try:
        t_1 = environment.filters['safe']
    except KeyError:
        @internalcode
        def t_1(*unused):
            raise TemplateRuntimeError("No filter named 'safe' found.")
    t_2 = []
    pass
    v_0 = (l_0_width)
    v_1 = (l_0_height)
    v_2 = escaped(l_0_title)
    t_2.append(
        f'<svg xmlns="http://www.w3.org/2000/svg" class="timeline" width="{v_0}'
        f'" height="{v_1}'
        f'" viewBox="0 0 {v_0}'
        f' {v_1}'
        f'" role="img" aria-label="Timeline of {v_2}'
        f'">\n<style>\nsvg {{ max-width: 100%; height: auto }}\n.timeline {{ font: 13px system-ui, "DejaVu Sans", sans-serif; --fg: #1f2328; --quiet: #57606a; --line: #d0d7de'
    )
    for (l_1_name, l_1_one) in l_0_colours.items():
        pass
        v_0 = (l_1_name)
        v_1 = (l_1_one.line)
        v_2 = (l_1_one.ground)
        t_2.append(
            f'; --{v_0}'
            f': {v_1}'
            f'; --{v_0}'
            f'-bg: {v_2}'
        )
    l_1_name = l_1_one = missing
    t_2.append(
        f'; --bar: #2da44e }}\n@media (prefers-color-scheme: dark) {{ .timeline {{ --fg: #e6edf3; --quiet: #9da7b3; --line: #30363d; background: #0d1117'
    )
    for (l_1_name, l_1_one) in l_0_colours.items():
        pass
        v_0 = (l_1_name)
        v_1 = (l_1_one.dark_line)
        v_2 = (l_1_one.dark_ground)
        t_2.append(
            f'; --{v_0}'
            f': {v_1}'
            f'; --{v_0}'
            f'-bg: {v_2}'
        )
    l_1_name = l_1_one = missing
    v_0 = (l_0_grid)
    t_2.append(
        f'; --bar: #3fb950 }} }}\ntext {{ fill: var(--fg) }} .tick, .legend {{ fill: var(--quiet); font-size: 12px }} path {{ stroke: var(--line); fill: none }}\n.running {{ fill: var(--quiet) }} .running.passed {{ fill: var(--bar) }} .running.failed {{ fill: var(--failed) }} .running.blocked {{ fill: var(--blocked) }} .running.running-now {{ fill: var(--running) }} .attempt {{ fill: var(--failed-bg); stroke: var(--failed) }} .locked {{ fill: var(--blocked-bg); stroke: var(--blocked) }} .retrying {{ fill: var(--quiet) }}\n.sign.failed {{ fill: var(--failed) }} .sign.blocked {{ fill: var(--blocked) }}\n</style>\n<path d="{v_0}'
        f'"/>\n'
    )
    for (l_1_x, l_1_text) in l_0_ticks:
        l_1_axis = resolve('axis')
        pass
        v_0 = (l_1_x)
        v_1 = (l_1_axis)
        v_2 = escaped(l_1_text)
        t_2.append(
            f'<text class="tick" x="{v_0}'
            f'" y="{v_1}'
            f'" text-anchor="middle">{v_2}'
            f'</text>\n'
        )
    l_1_x = l_1_text = l_1_axis = missing
    for l_1_row in l_0_lines:
        l_1_left = resolve('left')
        pass
        v_0 = (l_1_left)
        v_1 = (l_1_row.y)
        v_2 = escaped(l_1_row.label)
        t_2.append(
            f'<text x="{v_0}'
            f'" y="{v_1}'
            f'" text-anchor="end">{v_2}'
            f'</text>\n'
        )
        for l_2_span in l_1_row.spans:
            pass
            v_0 = (l_2_span.classes)
            v_1 = (l_2_span.x)
            v_2 = (l_2_span.y)
            v_3 = (l_2_span.width)
            v_4 = (l_2_span.height)
            v_5 = escaped(l_2_span.title)
            t_2.append(
                f'<rect class="{v_0}'
                f'" x="{v_1}'
                f'" y="{v_2}'
                f'" width="{v_3}'
                f'" height="{v_4}'
                f'" rx="2"><title>{v_5}'
                f'</title></rect>\n'
            )
        l_2_span = missing
        for l_2_sign in l_1_row.signs:
            pass
            v_0 = (l_2_sign.look)
            v_1 = (l_2_sign.x)
            v_2 = (l_1_row.y)
            v_3 = escaped(l_2_sign.text)
            t_2.append(
                f'<text class="sign {v_0}'
                f'" x="{v_1}'
                f'" y="{v_2}'
                f'">{v_3}'
                f'</text>\n'
            )
        l_2_sign = missing
    l_1_row = l_1_left = missing
    v_0 = (l_0_foot)
    v_1 = escaped(l_0_legend)
    t_2.append(
        f'<text class="legend" x="10" y="{v_0}'
        f'">{v_1}'
        f'</text>\n</svg>'
    )
    yield concat(t_2)

blocks = {}
debug_info = '5=36&6=51&12=68&15=81&17=93&20=111'
