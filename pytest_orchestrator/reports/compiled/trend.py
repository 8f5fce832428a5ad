"""`templates/trend.svg`, compiled by Jinja2 3.1.6."""

from pytest_orchestrator.reports.templating import TemplateRuntimeError, all_escaped, escaped, internalcode, missing, Environment as environment
name = 'trend.svg'

def root(context, missing=missing, environment=environment):
    resolve = context.resolve_or_missing
    undefined = environment.undefined
    concat = environment.concat
    l_0_width = resolve('width')
    l_0_height = resolve('height')
    l_0_title = resolve('title')
    l_0_colours = resolve('colours')
    l_0_panels = resolve('panels')
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
        f'<svg xmlns="http://www.w3.org/2000/svg" class="trend" width="{v_0}'
        f'" height="{v_1}'
        f'" viewBox="0 0 {v_0}'
        f' {v_1}'
        f'" role="img" aria-label="{v_2}'
        f'">\n<style>\nsvg {{ max-width: 100%; height: auto }}\n.trend {{ font: 13px system-ui, "DejaVu Sans", sans-serif; --fg: #1f2328; --quiet: #57606a; --line: #d0d7de'
    )
    for (l_1_name, l_1_one) in l_0_colours.items():
        pass
        v_0 = (l_1_name)
        v_1 = (l_1_one.line)
        t_2.append(
            f'; --{v_0}'
            f': {v_1}'
        )
    l_1_name = l_1_one = missing
    t_2.append(
        f'; --bar: #2da44e }}\n@media (prefers-color-scheme: dark) {{ .trend {{ --fg: #e6edf3; --quiet: #9da7b3; --line: #30363d; background: #0d1117'
    )
    for (l_1_name, l_1_one) in l_0_colours.items():
        pass
        v_0 = (l_1_name)
        v_1 = (l_1_one.dark_line)
        t_2.append(
            f'; --{v_0}'
            f': {v_1}'
        )
    l_1_name = l_1_one = missing
    t_2.append(
        f'; --bar: #3fb950 }} }}\ntext {{ fill: var(--fg) }} .name {{ font-weight: 600 }} .tick {{ fill: var(--quiet); font-size: 12px }} path {{ stroke: var(--line); fill: none }} .median {{ stroke: var(--quiet); stroke-dasharray: 5 4 }} .values {{ stroke: var(--quiet) }} circle {{ fill: var(--bar) }} .bad {{ fill: var(--failed) }}\n</style>\n'
    )
    for l_1_one in l_0_panels:
        l_1_right = resolve('right')
        pass
        v_0 = (l_1_one.head)
        v_2 = (l_1_right)
        v_4 = (l_1_one.frame)
        v_1, v_3 = all_escaped((l_1_one.name, l_1_one.summary))
        t_2.append(
            f'<text class="name" x="10" y="{v_0}'
            f'">{v_1}'
            f'</text>\n<text class="tick" x="{v_2}'
            f'" y="{v_0}'
            f'" text-anchor="end">{v_3}'
            f'</text>\n<path d="{v_4}'
            f'"/>\n'
        )
        for (l_2_y, l_2_text) in l_1_one.ticks:
            l_2_left = resolve('left')
            pass
            v_0 = (l_2_left)
            v_1 = (l_2_y)
            v_2 = escaped(l_2_text)
            t_2.append(
                f'<text class="tick" x="{v_0}'
                f'" y="{v_1}'
                f'" text-anchor="end">{v_2}'
                f'</text>\n'
            )
        l_2_y = l_2_text = l_2_left = missing
        if l_1_one.median:
            pass
            v_0 = (l_1_one.median)
            t_2.append(
                f'<path class="median" d="{v_0}'
                f'"/>\n'
            )
        v_0 = (l_1_one.values)
        t_2.append(
            f'<path class="values" d="{v_0}'
            f'"/>\n'
        )
        for l_2_point in l_1_one.points:
            pass
            v_0 = (l_2_point.x)
            v_1 = (l_2_point.y)
            v_2 = (l_2_point.radius)
            t_2.append(
                f'<circle cx="{v_0}'
                f'" cy="{v_1}'
                f'" r="{v_2}'
                f'"'
            )
            if l_2_point.is_bad:
                pass
                t_2.append(
                    f' class="bad"'
                )
            v_0 = escaped(l_2_point.title)
            t_2.append(
                f'><title>{v_0}'
                f'</title></circle>\n'
            )
        l_2_point = missing
        for (l_2_x, l_2_anchor, l_2_text) in l_1_one.dates:
            pass
            v_0 = (l_2_x)
            v_1 = (l_1_one.foot)
            v_2 = (l_2_anchor)
            v_3 = escaped(l_2_text)
            t_2.append(
                f'<text class="tick" x="{v_0}'
                f'" y="{v_1}'
                f'" text-anchor="{v_2}'
                f'">{v_3}'
                f'</text>\n'
            )
        l_2_x = l_2_anchor = l_2_text = missing
    l_1_one = l_1_right = missing
    t_2.append(
        f'</svg>'
    )
    yield concat(t_2)

blocks = {}
debug_info = '5=32&6=44&9=56&13=72&16=85&20=97&21=108&23=119'
