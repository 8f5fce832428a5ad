"""`templates/step.html`, compiled by Jinja2 3.1.6."""

from pytest_orchestrator.reports.templating import LoopContext, TemplateRuntimeError, all_escaped, escaped, internalcode, markup_join, missing, Environment as environment
name = 'step.html'

def root(context, missing=missing, environment=environment):
    resolve = context.resolve_or_missing
    undefined = environment.undefined
    concat = environment.concat
    l_0_state = l_0_rest = l_0_verdict = l_0_limits_bar = l_0_measurements = l_0_curves_over = l_0_elements = l_0_curve_of = l_0_logs = l_0_preview = l_0_step_panel = l_0_step_item = missing
    try:
        t_1 = environment.filters['coloured']
    except KeyError:
        @internalcode
        def t_1(*unused):
            raise TemplateRuntimeError("No filter named 'coloured' found.")
    try:
        t_2 = environment.filters['cut']
    except KeyError:
        @internalcode
        def t_2(*unused):
            raise TemplateRuntimeError("No filter named 'cut' found.")
    try:
        t_3 = environment.filters['duration']
    except KeyError:
        @internalcode
        def t_3(*unused):
            raise TemplateRuntimeError("No filter named 'duration' found.")
    try:
        t_4 = environment.filters['join']
    except KeyError:
        @internalcode
        def t_4(*unused):
            raise TemplateRuntimeError("No filter named 'join' found.")
    try:
        t_5 = environment.filters['length']
    except KeyError:
        @internalcode
        def t_5(*unused):
            raise TemplateRuntimeError("No filter named 'length' found.")
    try:
        t_6 = environment.filters['list']
    except KeyError:
        @internalcode
        def t_6(*unused):
            raise TemplateRuntimeError("No filter named 'list' found.")
    try:
        t_7 = environment.filters['look']
    except KeyError:
        @internalcode
        def t_7(*unused):
            raise TemplateRuntimeError("No filter named 'look' found.")
    try:
        t_8 = environment.filters['replace']
    except KeyError:
        @internalcode
        def t_8(*unused):
            raise TemplateRuntimeError("No filter named 'replace' found.")
    try:
        t_9 = environment.filters['rerun']
    except KeyError:
        @internalcode
        def t_9(*unused):
            raise TemplateRuntimeError("No filter named 'rerun' found.")
    try:
        t_10 = environment.filters['round']
    except KeyError:
        @internalcode
        def t_10(*unused):
            raise TemplateRuntimeError("No filter named 'round' found.")
    try:
        t_11 = environment.filters['safe']
    except KeyError:
        @internalcode
        def t_11(*unused):
            raise TemplateRuntimeError("No filter named 'safe' found.")
    try:
        t_12 = environment.filters['selectattr']
    except KeyError:
        @internalcode
        def t_12(*unused):
            raise TemplateRuntimeError("No filter named 'selectattr' found.")
    try:
        t_13 = environment.filters['sign']
    except KeyError:
        @internalcode
        def t_13(*unused):
            raise TemplateRuntimeError("No filter named 'sign' found.")
    try:
        t_14 = environment.filters['size']
    except KeyError:
        @internalcode
        def t_14(*unused):
            raise TemplateRuntimeError("No filter named 'size' found.")
    try:
        t_15 = environment.tests['none']
    except KeyError:
        @internalcode
        def t_15(*unused):
            raise TemplateRuntimeError("No test named 'none' found.")
    t_16 = []
    pass
    def macro(l_1_word):
        t_17 = []
        if l_1_word is missing:
            l_1_word = undefined("parameter 'word' was not provided", name='word')
        pass
        v_0 = (t_7(l_1_word))
        v_1 = (t_13(l_1_word))
        v_2 = escaped(l_1_word)
        t_17.append(
            f'<span class="state {v_0}'
            f'"><span aria-hidden="true">{v_1}'
            f'</span> {v_2}'
            f'</span>'
        )
        return concat(t_17)
    context.exported_vars.add('state')
    context.vars['state'] = l_0_state = macro
    t_16.append(
        f'\n'
    )
    def macro(l_1_left):
        t_18 = []
        if l_1_left is missing:
            l_1_left = undefined("parameter 'left' was not provided", name='left')
        pass
        for l_2_sentence in l_1_left.owed[:20]:
            pass
            v_0 = escaped(t_2(l_2_sentence, 300))
            t_18.append(
                f'<p class="owed">✘ {v_0}'
                f'</p>'
            )
        l_2_sentence = missing
        if l_1_left.command:
            pass
            v_0 = escaped(l_1_left.command)
            t_18.append(
                f'<p class="command"><code>{v_0}'
                f'</code> <button type="button" class="copy" data-copy="{v_0}'
                f'">Copy</button></p>'
            )
        return concat(t_18)
    context.exported_vars.add('rest')
    context.vars['rest'] = l_0_rest = macro
    t_16.append(
        f'\n'
    )
    def macro(l_1_one):
        t_19 = []
        if l_1_one is missing:
            l_1_one = undefined("parameter 'one' was not provided", name='one')
        pass
        v_0 = (l_1_one.look)
        v_1 = (l_1_one.sign)
        v_2 = (l_1_one.verdict)
        v_3 = ((' (may fail)' if l_1_one.may_fail else ''))
        t_19.append(
            f'<span class="state {v_0}'
            f'"><span aria-hidden="true">{v_1}'
            f'</span> {v_2}'
            f'{v_3}'
            f'</span>'
        )
        return concat(t_19)
    context.exported_vars.add('verdict')
    context.vars['verdict'] = l_0_verdict = macro
    t_16.append(
        f'\n'
    )
    def macro(l_1_one, l_1_value):
        t_20 = []
        if l_1_one is missing:
            l_1_one = undefined("parameter 'one' was not provided", name='one')
        if l_1_value is missing:
            l_1_value = undefined("parameter 'value' was not provided", name='value')
        pass
        if l_1_one.bar:
            pass
            v_0 = (l_1_one.look)
            v_5 = ((' near' if l_1_one.bar.clear else ''))
            v_6 = (t_10((l_1_one.bar.low * 100), 2))
            v_7 = (t_10(((l_1_one.bar.high - l_1_one.bar.low) * 100), 2))
            v_1, v_2, v_3, v_4 = all_escaped((l_1_one.name, l_1_value, l_1_one.limits, l_1_one.verdict))
            t_20.append(
                f'<span class="limits {v_0}'
                f'" role="img" aria-label="{v_1}'
                f' {v_2}'
                f', limits {v_3}'
                f': {v_4}'
                f'"><i class="range{v_5}'
                f'" style="left:{v_6}'
                f'%;width:{v_7}'
                f'%"></i>'
            )
            if l_1_one.bar.clear:
                pass
                v_0 = (t_10((l_1_one.bar.clear[0] * 100), 2))
                v_1 = (t_10(((l_1_one.bar.clear[1] - l_1_one.bar.clear[0]) * 100), 2))
                t_20.append(
                    f'<i class="clear" style="left:{v_0}'
                    f'%;width:{v_1}'
                    f'%"></i>'
                )
            v_0 = (t_10((l_1_one.bar.value * 100), 2))
            t_20.append(
                f'<i class="value" style="left:{v_0}'
                f'%"></i></span>'
            )
        return concat(t_20)
    context.exported_vars.add('limits_bar')
    context.vars['limits_bar'] = l_0_limits_bar = macro
    t_16.append(
        f'\n'
    )
    def macro(l_1_each):
        t_21 = []
        if l_1_each is missing:
            l_1_each = undefined("parameter 'each' was not provided", name='each')
        pass
        if l_1_each:
            pass
            t_21.append(
                f'<div class="scroll" tabindex="0"><table class="measured"><thead><tr><th scope="col">Measurement</th><th scope="col" class="number">Value</th><th scope="col">Limits</th><th scope="col" class="bar-head">Value and limits</th><th scope="col" class="number">Margin</th><th scope="col">Verdict</th></tr></thead><tbody>\n'
            )
            for l_2_one in l_1_each:
                l_2_texts = l_2_value = missing
                pass
                l_2_texts = l_2_one.texts
                l_2_value = (markup_join((l_2_texts.value, ' ', l_2_texts.unit, )) if l_2_texts.unit else l_2_texts.value)
                v_3 = ((' class=short' if (t_5(l_2_one.limits) < 30) else ''))
                v_6 = (l_0_limits_bar(l_2_one, l_2_value))
                v_8 = (l_0_verdict(l_2_one))
                v_0, v_1, v_2, v_4, v_5, v_7 = all_escaped((l_2_one.name, l_2_texts.exact, l_2_value, l_2_one.limits, (markup_join((' ', l_2_texts.unit, )) if (l_2_one.limits and l_2_texts.unit) else ''), (markup_join((l_2_texts.margin, ' %', )) if l_2_texts.margin else '')))
                t_21.append(
                    f'<tr><th scope="row" class="wide">{v_0}'
                    f'</th><td class="number" title="{v_1}'
                    f'">{v_2}'
                    f'</td><td{v_3}'
                    f'>{v_4}'
                    f'{v_5}'
                    f'</td><td>{v_6}'
                    f'</td><td class="number margin">{v_7}'
                    f'</td><td class="verdict">{v_8}'
                    f'</td></tr>\n'
                )
            l_2_one = l_2_texts = l_2_value = missing
            t_21.append(
                f'</tbody></table></div>\n'
            )
        return concat(t_21)
    context.exported_vars.add('measurements')
    context.vars['measurements'] = l_0_measurements = macro
    t_16.append(
        f'\n'
    )
    def macro(l_1_each):
        t_22 = []
        if l_1_each is missing:
            l_1_each = undefined("parameter 'each' was not provided", name='each')
        pass
        for l_2_one in l_1_each:
            pass
            v_0, v_1, v_2, v_3 = all_escaped((l_2_one.name, l_2_one.bottom, l_2_one.top, l_2_one.label))
            t_22.append(
                f'<figure class="over"><figcaption><b>{v_0}'
                f'</b> <span class="quiet">{v_1}'
                f' to {v_2}'
                f'</span></figcaption><svg viewBox="0 0 640 150" preserveAspectRatio="none" role="img" aria-label="{v_3}'
                f'">'
            )
            if l_2_one.low:
                pass
                v_0 = escaped(l_2_one.low)
                t_22.append(
                    f'<polyline class="limit" points="{v_0}'
                    f'"/>'
                )
            if l_2_one.high:
                pass
                v_0 = escaped(l_2_one.high)
                t_22.append(
                    f'<polyline class="limit" points="{v_0}'
                    f'"/>'
                )
            v_0 = escaped(l_2_one.line)
            t_22.append(
                f'<polyline class="course" points="{v_0}'
                f'"/>'
            )
            for l_3_mark in l_2_one.marks:
                pass
                v_0, v_1, v_2, v_3 = all_escaped((l_3_mark.look, l_3_mark.x, l_3_mark.y, l_3_mark.title))
                t_22.append(
                    f'<path class="mark {v_0}'
                    f'" d="M{v_1}'
                    f' {v_2}'
                    f'h0"><title>{v_3}'
                    f'</title></path>'
                )
            l_3_mark = missing
            v_0, v_1 = all_escaped((l_2_one.first, l_2_one.last))
            t_22.append(
                f'</svg><div class="ends quiet"><span>{v_0}'
                f'</span><span>{v_1}'
                f'</span></div></figure>\n'
            )
        l_2_one = missing
        return concat(t_22)
    context.exported_vars.add('curves_over')
    context.vars['curves_over'] = l_0_curves_over = macro
    t_16.append(
        f'\n'
    )
    def macro(l_1_all, l_1_step):
        t_23 = []
        if l_1_all is missing:
            l_1_all = undefined("parameter 'all' was not provided", name='all')
        if l_1_step is missing:
            l_1_step = undefined("parameter 'step' was not provided", name='step')
        pass
        t_23.append(
            f'<div class="scroll" tabindex="0"><table class="elements"><thead><tr>'
        )
        if l_1_step:
            pass
            t_23.append(
                f'<th scope="col" class="number">Index</th><th scope="col">Element</th>'
            )
        else:
            pass
            t_23.append(
                f'<th scope="col">Cell</th>'
            )
        t_23.append(
            f'<th scope="col">State</th><th scope="col" class="number">Duration</th>'
        )
        for l_2_name in l_1_all.names:
            pass
            v_0 = escaped(l_2_name)
            t_23.append(
                f'<th scope="col" class="number">{v_0}'
                f'</th>'
            )
        l_2_name = missing
        t_23.append(
            f'<th scope="col">Reason</th>'
        )
        if l_1_step:
            pass
            t_23.append(
                f'<th scope="col">Output</th>'
            )
        t_23.append(
            f'</tr></thead><tbody>\n'
        )
        for l_2_one in l_1_all.rows:
            pass
            t_23.append(
                f'<tr>'
            )
            if l_1_step:
                pass
                v_0, v_1 = all_escaped((l_2_one.number, l_2_one.item))
                t_23.append(
                    f'<td class="number">{v_0}'
                    f'</td><td><code>{v_1}'
                    f'</code></td>'
                )
            else:
                pass
                v_0, v_1 = all_escaped((l_2_one.element.anchor, l_2_one.item))
                t_23.append(
                    f'<td><a href="#{v_0}'
                    f'">{v_1}'
                    f'</a></td>'
                )
            v_0 = (l_0_state(l_2_one.state))
            t_23.append(
                f'<td>{v_0}'
            )
            if (l_2_one.attempt > 1):
                pass
                v_0 = escaped(l_2_one.attempt)
                t_23.append(
                    f' <span class="quiet">attempt {v_0}'
                    f'</span>'
                )
            v_0 = escaped(l_2_one.seconds)
            t_23.append(
                f'</td><td class="number">{v_0}'
                f'</td>'
            )
            for (l_3_text, l_3_look) in l_2_one.measured:
                pass
                v_0, v_1 = all_escaped(((markup_join((' of-', l_3_look, )) if l_3_look else ''), l_3_text))
                t_23.append(
                    f'<td class="number{v_0}'
                    f'">{v_1}'
                    f'</td>'
                )
            l_3_text = l_3_look = missing
            v_0 = escaped(l_2_one.reason)
            t_23.append(
                f'<td class="wide">{v_0}'
                f'</td>'
            )
            if l_1_step:
                pass
                t_23.append(
                    f'<td>'
                )
                for l_3_log in l_1_step.element_logs(l_2_one.element):
                    pass
                    if l_3_log.href:
                        pass
                        v_0, v_1 = all_escaped((l_3_log.href, l_3_log.name))
                        t_23.append(
                            f'<a href="{v_0}'
                            f'">{v_1}'
                            f'</a> '
                        )
                l_3_log = missing
                t_23.append(
                    f'</td>'
                )
            t_23.append(
                f'</tr>\n'
            )
        l_2_one = missing
        t_23.append(
            f'</tbody></table></div>\n'
        )
        if l_1_all.more:
            pass
            v_1 = (('elements' if l_1_step else 'cells'))
            v_0 = escaped(l_1_all.more)
            t_23.append(
                f'<p class="quiet">The journal has {v_0}'
                f' more {v_1}'
                f'.</p>'
            )
        return concat(t_23)
    context.exported_vars.add('elements')
    context.vars['elements'] = l_0_elements = macro
    t_16.append(
        f'\n'
    )
    def macro(l_1_name, l_1_each):
        t_24 = []
        if l_1_name is missing:
            l_1_name = undefined("parameter 'name' was not provided", name='name')
        if l_1_each is missing:
            l_1_each = undefined("parameter 'each' was not provided", name='each')
        pass
        v_0, v_1, v_2, v_3, v_4, v_5 = all_escaped((l_1_name, l_1_each.bottom, l_1_each.top, l_1_each.caption, l_1_each.start, l_1_each.stop))
        t_24.append(
            f'<figure class="sampled"><svg viewBox="0 0 640 160" role="img" aria-label="{v_0}'
            f': {v_1}'
            f' to {v_2}'
            f', {v_3}'
            f'">\n<text x="0" y="14">{v_2}'
            f'</text><text x="0" y="140">{v_1}'
            f'</text><text x="64" y="156">{v_4}'
            f'</text><text x="632" y="156" text-anchor="end">{v_5}'
            f'</text>\n'
        )
        for l_2_one in l_1_each.limits:
            pass
            v_0, v_1 = all_escaped((l_2_one.y, l_2_one.label))
            t_24.append(
                f'<line class="limit" x1="64" x2="632" y1="{v_0}'
                f'" y2="{v_0}'
                f'"><title>{v_1}'
                f'</title></line>'
            )
        l_2_one = missing
        v_0 = escaped(l_1_each.points)
        t_24.append(
            f'<polyline points="{v_0}'
            f'"/>\n'
        )
        for (l_2_x, l_2_y) in l_1_each.outside:
            pass
            v_0, v_1 = all_escaped((l_2_x, l_2_y))
            t_24.append(
                f'<circle cx="{v_0}'
                f'" cy="{v_1}'
                f'" r="2.5"/>'
            )
        l_2_x = l_2_y = missing
        v_0 = escaped(l_1_each.caption)
        t_24.append(
            f'</svg><figcaption>{v_0}'
        )
        for l_2_one in l_1_each.limits:
            pass
            v_0 = escaped(l_2_one.label)
            t_24.append(
                f', limit {v_0}'
            )
        l_2_one = missing
        t_24.append(
            f'</figcaption></figure>\n'
        )
        return concat(t_24)
    context.exported_vars.add('curve_of')
    context.vars['curve_of'] = l_0_curve_of = macro
    t_16.append(
        f'\n'
    )
    def macro(l_1_each, l_1_linked):
        t_25 = []
        if l_1_each is missing:
            l_1_each = undefined("parameter 'each' was not provided", name='each')
        if l_1_linked is missing:
            l_1_linked = undefined("parameter 'linked' was not provided", name='linked')
        pass
        l_2_loop = missing
        for l_2_log, l_2_loop in LoopContext(l_1_each, undefined):
            pass
            v_0 = escaped(l_2_log.name)
            t_25.append(
                f'<div class="log"><p><b>{v_0}'
                f'</b> '
            )
            if l_2_log.href:
                pass
                if (l_2_log.text and (not l_2_log.is_whole)):
                    pass
                    v_0 = (t_14(t_5(l_2_log.text)))
                    v_1 = (t_14(l_2_log.bytes))
                    v_2 = escaped(l_2_log.href)
                    t_25.append(
                        f'last {v_0}'
                        f' of {v_1}'
                        f', <a href="{v_2}'
                        f'">open all</a>'
                    )
                else:
                    pass
                    v_1 = (t_14(l_2_log.bytes))
                    v_0 = escaped(l_2_log.href)
                    t_25.append(
                        f'<a href="{v_0}'
                        f'">{v_1}'
                        f'</a>'
                    )
                v_0 = ((', truncated' if l_2_log.cut else ''))
                t_25.append(
                    f'{v_0}'
                )
            else:
                pass
                v_0 = escaped(l_2_log.path)
                t_25.append(
                    f'<code>{v_0}'
                    f'</code>, not a file of this run, not opened'
                )
            t_25.append(
                f'</p>\n'
            )
            if (l_2_log.lines and l_1_linked):
                pass
                v_0 = ((' timed' if l_2_log.is_timed else ''))
                v_1 = ((l_2_log.first - 1))
                v_2 = (l_2_log.width)
                t_25.append(
                    f'<pre class="output numbered{v_0}'
                    f'" tabindex="0"><code style="counter-reset:n {v_1}'
                    f';--w:{v_2}'
                    f'ch">'
                )
                l_3_loop = missing
                for l_3_line, l_3_loop in LoopContext(l_2_log.lines, undefined):
                    l_3_at = missing
                    pass
                    l_3_at = markup_join((l_2_log.anchor, (l_2_log.first + l_3_loop.index0), ))
                    v_0 = (l_3_at)
                    t_25.append(
                        f'<i id={v_0}'
                        f'><a href=#{v_0}'
                        f' tabindex=-1 aria-hidden=true'
                    )
                    if l_3_line.time:
                        pass
                        v_0 = (l_3_line.time)
                        t_25.append(
                            f' data-t={v_0}'
                        )
                    v_0 = escaped(l_3_line.html)
                    t_25.append(
                        f'></a>{v_0}'
                        f'\n</i>'
                    )
                l_3_loop = l_3_line = l_3_at = missing
                t_25.append(
                    f'</code></pre>'
                )
            elif l_2_log.text:
                pass
                v_0 = escaped(t_1(l_2_log.text))
                t_25.append(
                    f'<pre class="output" tabindex="0"><code>{v_0}'
                    f'</code></pre>'
                )
            t_25.append(
                f'</div>\n'
            )
        l_2_loop = l_2_log = missing
        return concat(t_25)
    context.exported_vars.add('logs')
    context.vars['logs'] = l_0_logs = macro
    t_16.append(
        f'\n'
    )
    def macro(l_1_one):
        t_26 = []
        if l_1_one is missing:
            l_1_one = undefined("parameter 'one' was not provided", name='one')
        pass
        v_0 = ((': the beginning' if (not l_1_one.is_whole) else ''))
        t_26.append(
            f'<details class="more"><summary>Preview{v_0}'
            f'</summary>\n'
        )
        if l_1_one.head:
            pass
            t_26.append(
                f'<div class="scroll" tabindex="0"><table><thead><tr>'
            )
            for l_2_cell in l_1_one.head:
                pass
                v_0 = escaped(l_2_cell)
                t_26.append(
                    f'<th scope="col">{v_0}'
                    f'</th>'
                )
            l_2_cell = missing
            t_26.append(
                f'</tr></thead><tbody>'
            )
            for l_2_row in l_1_one.rows:
                pass
                t_26.append(
                    f'<tr>'
                )
                for l_3_cell in l_2_row:
                    pass
                    v_0 = escaped(l_3_cell)
                    t_26.append(
                        f'<td>{v_0}'
                        f'</td>'
                    )
                l_3_cell = missing
                t_26.append(
                    f'</tr>'
                )
            l_2_row = missing
            t_26.append(
                f'</tbody></table></div>\n'
            )
        else:
            pass
            v_0 = escaped(l_1_one.text)
            t_26.append(
                f'<pre class="text" tabindex="0">{v_0}'
                f'</pre>\n'
            )
        t_26.append(
            f'</details>\n'
        )
        return concat(t_26)
    context.exported_vars.add('preview')
    context.vars['preview'] = l_0_preview = macro
    t_16.append(
        f'\n'
    )
    def macro(l_1_step, l_1_lazy):
        t_27 = []
        l_1_not_good = resolve('not_good')
        l_1_about = l_1_block = l_1_used = l_1_look = l_1_command = l_1_wrote = l_1_record = l_1_attempts = l_1_source = l_1_process = missing
        if l_1_step is missing:
            l_1_step = undefined("parameter 'step' was not provided", name='step')
        if l_1_lazy is missing:
            l_1_lazy = undefined("parameter 'lazy' was not provided", name='lazy')
        pass
        l_1_about = l_1_step.about
        l_1_block = l_1_step.parts
        l_1_used = l_1_step.used
        l_1_look = l_1_step.look
        l_1_command = l_1_step.command
        l_1_wrote = l_1_step.written_keys
        l_1_record = l_1_step.step
        t_27.append(
            f'<div class="panel">'
        )
        if l_1_lazy:
            pass
            t_27.append(
                f'<noscript>'
            )
        t_27.append(
            f'\n'
        )
        if ('description' in l_1_about):
            pass
            v_0 = escaped(t_2(l_1_about['description'], 600))
            t_27.append(
                f'<p>{v_0}'
                f'</p>'
            )
        v_0 = escaped(l_1_step.line)
        t_27.append(
            f'<p class="quiet">{v_0}'
        )
        if l_1_step.blocker:
            pass
            v_0 = (l_1_step.blocker)
            v_1 = escaped(t_2(l_1_about['blocked_by'], 200))
            t_27.append(
                f' · blocked by <a href="#{v_0}'
                f'">{v_1}'
                f'</a>'
            )
        t_27.append(
            f'</p>\n'
        )
        if l_1_record.text:
            pass
            v_0 = escaped(l_1_step.text)
            t_27.append(
                f'<pre class="text" tabindex="0">{v_0}'
                f'</pre>'
            )
        if (l_1_step.state in l_1_not_good):
            pass
            v_0 = escaped(l_1_step.rerun_command)
            t_27.append(
                f'<p class="command"><code>{v_0}'
                f'</code> <button type="button" class="copy" data-copy="{v_0}'
                f'">Copy</button></p>'
            )
        if l_1_block.answers:
            pass
            for l_2_answer in l_1_step.answers:
                pass
                v_0 = escaped(l_2_answer)
                t_27.append(
                    f'<p class="quiet">{v_0}'
                    f'</p>'
                )
            l_2_answer = missing
        if l_1_block.warnings:
            pass
            for l_2_warning in l_1_step.warnings:
                pass
                v_0 = escaped(l_2_warning)
                t_27.append(
                    f'<p class="warning">! {v_0}'
                    f'</p>'
                )
            l_2_warning = missing
        if l_1_block.measurements:
            pass
            v_0 = (l_0_measurements(l_1_step.measurements))
            t_27.append(
                f'{v_0}'
            )
        if (l_1_block.elements or l_1_record.elements):
            pass
            v_0 = (l_0_curves_over(l_1_step.element_curves))
            v_1 = (l_0_elements(l_1_step.elements, l_1_step))
            t_27.append(
                f'{v_0}'
                f'{v_1}'
            )
        if (l_1_block.curve and l_1_step.curve):
            pass
            v_0 = (l_0_curve_of(l_1_step.name, l_1_step.curve))
            t_27.append(
                f'{v_0}'
            )
        if l_1_block.criteria:
            pass
            t_27.append(
                f'<ul class="criteria">\n'
            )
            for l_2_one in l_1_step.criteria:
                pass
                t_27.append(
                    f'<li>'
                )
                if l_2_one['held']:
                    pass
                    t_27.append(
                        f'✔'
                    )
                else:
                    pass
                    v_0 = (l_0_state('failed'))
                    t_27.append(
                        f'{v_0}'
                    )
                v_0, v_1 = all_escaped((l_2_one['name'], l_2_one['wanted']))
                t_27.append(
                    f' <b>{v_0}'
                    f'</b> <code>{v_1}'
                    f'</code>'
                )
                if l_2_one['measured']:
                    pass
                    v_0, v_1 = all_escaped((l_2_one['exact'], l_2_one['measured']))
                    t_27.append(
                        f', measured <span title="{v_0}'
                        f'">{v_1}'
                        f'</span>'
                    )
                if l_2_one['reason']:
                    pass
                    v_0 = escaped(l_2_one['reason'])
                    t_27.append(
                        f': {v_0}'
                    )
                v_0 = escaped(l_2_one['line'])
                t_27.append(
                    f' <span class="quiet">line {v_0}'
                    f'</span></li>\n'
                )
            l_2_one = missing
            t_27.append(
                f'</ul>\n'
            )
            if l_1_step.more_criteria:
                pass
                v_0 = escaped(l_1_step.more_criteria)
                t_27.append(
                    f'<p class="quiet">The journal has {v_0}'
                    f' more.</p>'
                )
        if (l_1_command or l_1_block.given):
            pass
            t_27.append(
                f'<details class="more"><summary>Inputs</summary>\n'
            )
            if l_1_command:
                pass
                v_0 = escaped(l_1_command)
                t_27.append(
                    f'<p class="command"><code>{v_0}'
                    f'</code></p>'
                )
            if l_1_block.given:
                pass
                t_27.append(
                    f'<table><tbody>'
                )
                for (l_2_name, l_2_value) in l_1_step.inputs:
                    pass
                    v_0, v_1 = all_escaped((l_2_name, l_2_value))
                    t_27.append(
                        f'<tr><th scope="row">{v_0}'
                        f'</th><td class="wide"><code>{v_1}'
                        f'</code></td></tr>'
                    )
                l_2_name = l_2_value = missing
                t_27.append(
                    f'</tbody></table>'
                )
            t_27.append(
                f'</details>\n'
            )
        if l_1_wrote:
            pass
            t_27.append(
                f'<ul class="writes">\n'
            )
            for l_2_one in l_1_step.writes:
                pass
                v_0, v_1 = all_escaped((l_2_one['op'], l_2_one['key']))
                t_27.append(
                    f'<li>{v_0}'
                    f' <b>{v_1}'
                    f'</b>'
                )
                if ('index' in l_2_one):
                    pass
                    v_0 = escaped(l_2_one['index'])
                    t_27.append(
                        f'[{v_0}'
                        f']'
                    )
                t_27.append(
                    f' '
                )
                if l_2_one['had']:
                    pass
                    v_0 = escaped(l_2_one['old'])
                    t_27.append(
                        f'<code>{v_0}'
                        f'</code> '
                    )
                if (l_2_one['op'] not in ('delete', 'pop')):
                    pass
                    v_0 = escaped(l_2_one['new'])
                    t_27.append(
                        f'→ <code>{v_0}'
                        f'</code>'
                    )
                if ('masked' in l_2_one):
                    pass
                    t_27.append(
                        f' masked'
                    )
                t_27.append(
                    f'</li>\n'
                )
            l_2_one = missing
            t_27.append(
                f'</ul>\n'
            )
            if l_1_step.more_writes:
                pass
                v_0 = escaped(l_1_step.more_writes)
                t_27.append(
                    f'<p class="quiet">The journal has {v_0}'
                    f' more.</p>'
                )
        if (l_1_block.attempts or (t_15(l_1_step.block) and l_1_record.failed)):
            pass
            t_27.append(
                f'<table><thead><tr><th scope="col">Attempt</th><th scope="col">Reason of failure</th><th scope="col" class="number">Duration</th><th scope="col">Output</th></tr></thead><tbody>\n'
            )
            l_1_attempts = t_6(l_1_step.attempts)
            for l_2_one in l_1_attempts:
                pass
                v_0 = escaped(l_2_one['attempt'])
                t_27.append(
                    f'<tr><td>{v_0}'
                    f'</td><td class="wide">'
                )
                if (l_2_one['kind'] != 'exit_code'):
                    pass
                    v_0 = escaped(t_8(l_2_one['kind'], '_', ' '))
                    t_27.append(
                        f'{v_0}'
                        f': '
                    )
                v_1 = ((t_3(l_2_one['seconds']) if ('seconds' in l_2_one) else '-'))
                v_0 = escaped(l_2_one['reason'])
                t_27.append(
                    f'{v_0}'
                    f'</td><td class="number">{v_1}'
                    f'</td><td>'
                )
                for l_3_log in l_2_one['logs']:
                    pass
                    if l_3_log.href:
                        pass
                        v_0, v_1 = all_escaped((l_3_log.href, l_3_log.name))
                        t_27.append(
                            f'<a href="{v_0}'
                            f'">{v_1}'
                            f'</a>'
                        )
                    else:
                        pass
                        v_0, v_1 = all_escaped((l_3_log.name, l_3_log.path))
                        t_27.append(
                            f'{v_0}'
                            f': <code>{v_1}'
                            f'</code>, not a file of this run'
                        )
                    t_27.append(
                        f' '
                    )
                l_3_log = missing
                t_27.append(
                    f'</td></tr>\n'
                )
            l_2_one = missing
            t_27.append(
                f'</tbody></table>\n'
            )
            for l_2_one in l_1_attempts:
                pass
                if t_6(t_12(l_2_one['logs'], 'text')):
                    pass
                    v_1 = (l_0_logs(l_2_one['logs'], True))
                    v_0 = escaped(l_2_one['attempt'])
                    t_27.append(
                        f'<details class="more"><summary>Output of attempt {v_0}'
                        f'</summary>{v_1}'
                        f'</details>\n'
                    )
            l_2_one = missing
        if (l_1_block.logs or (l_1_step.state == 'interrupted')):
            pass
            v_0 = (l_0_logs(l_1_step.logs, True))
            t_27.append(
                f'{v_0}'
            )
        if l_1_block.artifacts:
            pass
            t_27.append(
                f'<ul class="files">'
            )
            for l_2_file in l_1_step.attachments:
                pass
                t_27.append(
                    f'<li>'
                )
                if l_2_file.href:
                    pass
                    v_0 = escaped(l_2_file.href)
                    t_27.append(
                        f'<a href="{v_0}'
                        f'">'
                    )
                    if l_2_file.picture:
                        pass
                        v_0 = escaped(l_2_file.picture)
                        t_27.append(
                            f'<img src="{v_0}'
                            f'" alt="" loading="lazy">'
                        )
                    v_0 = escaped(l_2_file.name)
                    t_27.append(
                        f'{v_0}'
                        f'</a>'
                    )
                else:
                    pass
                    v_0 = escaped(l_2_file.path)
                    t_27.append(
                        f'<code>{v_0}'
                        f'</code>, not a file of this run, not opened'
                    )
                v_1 = (t_14(l_2_file.bytes))
                v_0 = escaped(l_2_file.type)
                t_27.append(
                    f' <span class="quiet">{v_0}'
                    f', {v_1}'
                    f'</span>'
                )
                if l_2_file.preview:
                    pass
                    v_0 = (l_0_preview(l_2_file.preview))
                    t_27.append(
                        f'{v_0}'
                    )
                t_27.append(
                    f'</li>'
                )
            l_2_file = missing
            t_27.append(
                f'</ul>\n'
            )
        if l_1_used:
            pass
            l_1_source = l_1_step.source
            v_0 = (l_1_step.anchor)
            t_27.append(
                f'<div class="curves" data-curves="{v_0}'
                f'"></div>\n<dl class="figures"'
            )
            if l_1_source:
                pass
                v_0 = escaped(l_1_source)
                t_27.append(
                    f' title="Sources: {v_0}'
                    f'"'
                )
            t_27.append(
                f'>'
            )
            for (l_2_name, l_2_figure) in l_1_step.figures:
                pass
                v_0 = (l_2_name)
                v_1 = (l_2_figure)
                t_27.append(
                    f'<div><dt>{v_0}'
                    f'<dd>{v_1}'
                    f'</div>'
                )
            l_2_name = l_2_figure = missing
            if l_1_block.process:
                pass
                l_1_process = l_1_step.process
                if ('exit_code' in l_1_process):
                    pass
                    v_0 = escaped(l_1_process['exit_code'])
                    t_27.append(
                        f'<div><dt>Exit code</dt><dd>{v_0}'
                        f'</dd></div>'
                    )
                if ('signal' in l_1_process):
                    pass
                    v_0 = escaped(l_1_process['signal'])
                    t_27.append(
                        f'<div><dt>Signal</dt><dd>{v_0}'
                        f'</dd></div>'
                    )
            t_27.append(
                f'</dl>\n'
            )
        if l_1_lazy:
            pass
            t_27.append(
                f'</noscript>'
            )
        t_27.append(
            f'</div>\n'
        )
        return concat(t_27)
    context.exported_vars.add('step_panel')
    context.vars['step_panel'] = l_0_step_panel = macro
    t_16.append(
        f'\n'
    )
    def macro(l_1_step, l_1_number, l_1_several, l_1_lazy):
        t_28 = []
        l_1_by = l_1_block = l_1_look = l_1_reason = l_1_wrote = l_1_cpu = l_1_record = missing
        if l_1_step is missing:
            l_1_step = undefined("parameter 'step' was not provided", name='step')
        if l_1_number is missing:
            l_1_number = undefined("parameter 'number' was not provided", name='number')
        if l_1_several is missing:
            l_1_several = undefined("parameter 'several' was not provided", name='several')
        if l_1_lazy is missing:
            l_1_lazy = undefined("parameter 'lazy' was not provided", name='lazy')
        pass
        l_1_by = l_1_step.sorted_by
        l_1_block = l_1_step.parts
        l_1_look = l_1_step.look
        l_1_reason = l_1_step.reason
        l_1_wrote = l_1_step.written_keys
        l_1_cpu = l_1_step.cpu
        l_1_record = l_1_step.step
        v_0 = (l_1_look)
        v_1 = (l_1_step.anchor)
        v_2 = (l_1_step.order)
        v_5 = (l_1_by['seconds'])
        v_6 = (l_1_by['cpu'])
        v_7 = (l_1_by['peak'])
        v_10 = (l_1_number)
        v_3, v_4, v_8, v_9, v_11 = all_escaped((l_1_step.name, l_1_step.state, l_1_wrote, t_4(l_1_step.tags, ' '), l_1_reason))
        t_28.append(
            f'<details class="step {v_0}'
            f'" id="{v_1}'
            f'" data-order="{v_2}'
            f'" data-name="{v_3}'
            f'" data-state="{v_4}'
            f'" data-seconds="{v_5}'
            f'" data-cpu="{v_6}'
            f'" data-peak="{v_7}'
            f'" data-wrote="{v_8}'
            f'" data-tags="{v_9}'
            f'" data-of="{v_10}'
            f'" data-reason="{v_11}'
            f'">\n<summary class="row"><span class="c-name"><span class="name">{v_3}'
            f'</span>'
        )
        if l_1_several:
            pass
            v_0 = escaped(l_1_step.recipe)
            t_28.append(
                f' <span class="of">{v_0}'
                f'</span>'
            )
        if l_1_reason:
            pass
            v_0 = escaped(l_1_reason)
            t_28.append(
                f'<span class="why">{v_0}'
                f'</span>'
            )
        v_0 = (l_1_look)
        v_1 = (l_1_step.sign)
        v_2 = escaped(l_1_step.state)
        t_28.append(
            f'</span><span class="c-state"><span class="state {v_0}'
            f'"><span aria-hidden="true">{v_1}'
            f'</span> {v_2}'
            f'</span>'
        )
        if (l_1_record.attempt > 1):
            pass
            v_0 = escaped(l_1_record.attempt)
            t_28.append(
                f' <span class="quiet">attempt {v_0}'
                f'</span>'
            )
        if (l_1_block.step and l_1_block.step.reruns):
            pass
            v_0 = escaped(t_9(l_1_block.step.reruns))
            t_28.append(
                f' <span class="quiet">{v_0}'
                f'</span>'
            )
        if ((l_1_block.measurements or l_1_block.elements) and l_1_step.marginal):
            pass
            v_0 = (l_0_state('marginal'))
            v_1 = escaped(l_1_step.marginal)
            t_28.append(
                f' {v_0}'
                f'&nbsp;{v_1}'
            )
        v_0 = (l_1_step.seconds)
        v_1 = ((t_3(l_1_cpu) if (not t_15(l_1_cpu)) else '-'))
        v_2 = (l_1_step.peak)
        v_4 = (l_0_step_panel(l_1_step, l_1_lazy))
        v_3 = escaped((l_1_wrote or '-'))
        t_28.append(
            f'</span><span class="c-seconds">{v_0}'
            f'</span><span class="c-cpu">{v_1}'
            f'</span><span class="c-peak">{v_2}'
            f'</span><span class="c-wrote">{v_3}'
            f'</span></summary>\n{v_4}'
            f'</details>\n'
        )
        return concat(t_28)
    context.exported_vars.add('step_item')
    context.vars['step_item'] = l_0_step_item = macro
    yield concat(t_16)

blocks = {}
debug_info = '1=101&3=121&4=126&5=134&8=148&10=170&12=215&13=220&15=225&16=228&17=229&24=256&25=261&26=271&31=314&32=324&33=356&34=361&37=433&40=448&43=467&45=482&46=495&50=511&51=519&52=526&53=562&54=599&58=616&60=626&61=631&69=678&70=687&71=688&72=689&73=690&74=691&75=692&76=693&77=697&79=705&80=716&81=728&82=735&83=743&84=753&85=763&86=769&87=777&88=783&90=788&91=793&94=833&96=840&98=845&99=852&102=872&104=877&105=885&108=921&110=928&112=933&113=934&114=941&117=984&118=986&122=996&123=1002&124=1007&126=1058&127=1060&129=1066&131=1106&134=1120&135=1132&136=1133&137=1134&138=1135&139=1136&140=1137&141=1138&143=1163'
