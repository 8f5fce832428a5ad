"""`templates/graph.svg`, compiled by Jinja2 3.1.6."""

from pytest_orchestrator.reports.templating import Markup, TemplateRuntimeError, all_escaped, escaped, identity, internalcode, missing, Environment as environment
name = 'graph.svg'

def root(context, missing=missing, environment=environment):
    resolve = context.resolve_or_missing
    undefined = environment.undefined
    concat = environment.concat
    l_0_width = resolve('width')
    l_0_height = resolve('height')
    l_0_screen = resolve('screen')
    l_0_least = resolve('least')
    l_0_alone = resolve('alone')
    l_0_colours = resolve('colours')
    l_0_lines = resolve('lines')
    l_0_dashed = resolve('dashed')
    l_0_heads = resolve('heads')
    l_0_boxes = resolve('boxes')
    l_0_legend = resolve('legend')
    l_0_w = l_0_h = l_0_rect = l_0_behind = missing
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
    l_0_w = t_1(l_0_width, 1)
    context.vars['w'] = l_0_w
    context.exported_vars.add('w')
    l_0_h = t_1(l_0_height, 1)
    context.vars['h'] = l_0_h
    context.exported_vars.add('h')
    v_0 = (l_0_screen)
    v_1, v_2, v_3 = all_escaped((l_0_w, l_0_h, l_0_least))
    t_3.append(
        f'<svg xmlns="http://www.w3.org/2000/svg" class="graph{v_0}'
        f'" width="{v_1}'
        f'" height="{v_2}'
        f'" viewBox="0 0 {v_1}'
        f' {v_2}'
        f'" style="min-width:{v_3}'
        f'px" role="group" aria-label="Graph of the steps">\n'
    )
    if l_0_alone:
        pass
        t_3.append(
            f'<style>\nsvg {{ max-width: 100%; height: auto }}\n.graph {{ font: 13px system-ui, "DejaVu Sans", sans-serif; --fg: #1f2328; --line: #6e7781; --bg: #ffffff'
        )
        for (l_1_name, l_1_one) in l_0_colours.items():
            pass
            v_0 = (l_1_name)
            v_1 = (l_1_one.line)
            v_2 = (l_1_one.ground)
            t_3.append(
                f'; --{v_0}'
                f': {v_1}'
                f'; --{v_0}'
                f'-bg: {v_2}'
            )
        l_1_name = l_1_one = missing
        t_3.append(
            f' }}\n@media (prefers-color-scheme: dark) {{ .graph {{ --fg: #e6edf3; --line: #8b949e; --bg: #0d1117; background: #0d1117'
        )
        for (l_1_name, l_1_one) in l_0_colours.items():
            pass
            v_0 = (l_1_name)
            v_1 = (l_1_one.dark_line)
            v_2 = (l_1_one.dark_ground)
            t_3.append(
                f'; --{v_0}'
                f': {v_1}'
                f'; --{v_0}'
                f'-bg: {v_2}'
            )
        l_1_name = l_1_one = missing
        t_3.append(
            f' }} }}\n.arrow {{ fill: none; stroke: var(--line); stroke-width: 1.3 }} .weak {{ stroke-dasharray: 4 3 }} .head {{ fill: var(--line) }}\n.box rect {{ stroke-width: 1.5 }} .box text, .legend {{ fill: var(--fg) }} .box .told {{ font-size: 11.5px }} .final rect {{ stroke-dasharray: 5 3 }} .legend {{ font-size: 12px }}\n'
        )
        for l_1_name in l_0_colours:
            pass
            v_0 = (l_1_name)
            t_3.append(
                f'.{v_0}'
                f' rect {{ fill: var(--{v_0}'
                f'-bg); stroke: var(--{v_0}'
                f') }} .{v_0}'
                f' .told, .legend.{v_0}'
                f' {{ fill: var(--{v_0}'
                f') }}\n'
            )
        l_1_name = missing
        t_3.append(
            f'.failed rect {{ stroke-width: 2.5 }}\n</style>\n'
        )
    if l_0_lines:
        pass
        v_0 = (l_0_lines)
        t_3.append(
            f'<path class="arrow" d="{v_0}'
            f'"/>\n'
        )
    if l_0_dashed:
        pass
        v_0 = (l_0_dashed)
        t_3.append(
            f'<path class="arrow weak" d="{v_0}'
            f'"/>\n'
        )
    if l_0_heads:
        pass
        v_0 = (l_0_heads)
        t_3.append(
            f'<path class="head" d="{v_0}'
            f'"/>\n'
        )
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
    l_1_box_size = resolve('box_size')
    t_5 = []
    pass
    v_0, v_1 = all_escaped((l_1_box_size[0], l_1_box_size[1]))
    t_5.append(
        f'<rect class="behind" x="4" y="-4" width="{v_0}'
        f'" height="{v_1}'
        f'" rx="6"/>\n'
    )
    l_0_behind = (Markup if context.eval_ctx.autoescape else identity)(concat(t_5))
    context.vars['behind'] = l_0_behind
    context.exported_vars.add('behind')
    l_1_box_size = missing
    for (l_1_box, l_1_place) in l_0_boxes:
        l_1_state = l_1_href = missing
        pass
        l_1_state = l_1_box.state
        l_1_href = l_1_box.href
        if l_1_href:
            pass
            v_1 = ((Markup(' tabindex="-1"') if (not l_0_alone) else ''))
            v_0 = escaped(l_1_href)
            t_3.append(
                f'<a href="{v_0}'
                f'"{v_1}'
                f'>'
            )
        v_0 = (l_1_box.classes)
        v_1 = (l_1_place)
        v_2 = escaped(l_1_box.title)
        t_3.append(
            f'<g class="{v_0}'
            f'" transform="{v_1}'
            f'"><title>{v_2}'
            f'</title>\n'
        )
        if l_1_box.folded:
            pass
            v_0 = (l_0_behind)
            t_3.append(
                f'{v_0}'
            )
        v_0 = (l_0_rect)
        v_1 = (('18' if l_1_state else '27'))
        t_3.append(
            f'{v_0}'
            f'\n<text x="10" y="{v_1}'
            f'"'
        )
        if l_1_box.length:
            pass
            v_0 = escaped(l_1_box.length)
            t_3.append(
                f' textLength="{v_0}'
                f'" lengthAdjust="spacingAndGlyphs"'
            )
        v_0 = escaped(l_1_box.label)
        t_3.append(
            f'>{v_0}'
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
    l_1_box = l_1_place = l_1_state = l_1_href = missing
    for l_1_entry in l_0_legend:
        pass
        v_0 = (l_1_entry.look)
        v_1, v_2, v_3 = all_escaped((l_1_entry.x, l_1_entry.y, l_1_entry.text))
        t_3.append(
            f'<text class="legend {v_0}'
            f'" x="{v_1}'
            f'" y="{v_2}'
            f'">{v_3}'
            f'</text>\n'
        )
    l_1_entry = missing
    t_3.append(
        f'</svg>'
    )
    yield concat(t_3)

blocks = {}
debug_info = '2=34&3=37&5=51&8=56&9=71&12=86&18=102&20=109&22=116&24=132&25=145&27=149&28=152&29=153&30=154&32=172&33=185&34=197&36=207&39=216'
