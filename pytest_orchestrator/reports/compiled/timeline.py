"""`templates/timeline.html`, compiled by Jinja2 3.1.6."""

from pytest_orchestrator.reports.templating import LoopContext, TemplateRuntimeError, all_escaped, escaped, internalcode, missing, Environment as environment
name = 'timeline.html'

def root(context, missing=missing, environment=environment):
    resolve = context.resolve_or_missing
    undefined = environment.undefined
    concat = environment.concat
    l_0_span_title = l_0_legend = l_0_timeline = l_0_run_timeline = missing
    try:
        t_1 = environment.filters['cut']
    except KeyError:
        @internalcode
        def t_1(*unused):
            raise TemplateRuntimeError("No filter named 'cut' found.")
    try:
        t_2 = environment.filters['duration']
    except KeyError:
        @internalcode
        def t_2(*unused):
            raise TemplateRuntimeError("No filter named 'duration' found.")
    try:
        t_3 = environment.filters['has']
    except KeyError:
        @internalcode
        def t_3(*unused):
            raise TemplateRuntimeError("No filter named 'has' found.")
    try:
        t_4 = environment.filters['has_word']
    except KeyError:
        @internalcode
        def t_4(*unused):
            raise TemplateRuntimeError("No filter named 'has_word' found.")
    try:
        t_5 = environment.filters['join']
    except KeyError:
        @internalcode
        def t_5(*unused):
            raise TemplateRuntimeError("No filter named 'join' found.")
    try:
        t_6 = environment.filters['look']
    except KeyError:
        @internalcode
        def t_6(*unused):
            raise TemplateRuntimeError("No filter named 'look' found.")
    try:
        t_7 = environment.filters['percent']
    except KeyError:
        @internalcode
        def t_7(*unused):
            raise TemplateRuntimeError("No filter named 'percent' found.")
    try:
        t_8 = environment.filters['rows']
    except KeyError:
        @internalcode
        def t_8(*unused):
            raise TemplateRuntimeError("No filter named 'rows' found.")
    try:
        t_9 = environment.filters['safe']
    except KeyError:
        @internalcode
        def t_9(*unused):
            raise TemplateRuntimeError("No filter named 'safe' found.")
    try:
        t_10 = environment.filters['sign']
    except KeyError:
        @internalcode
        def t_10(*unused):
            raise TemplateRuntimeError("No filter named 'sign' found.")
    try:
        t_11 = environment.filters['tick']
    except KeyError:
        @internalcode
        def t_11(*unused):
            raise TemplateRuntimeError("No filter named 'tick' found.")
    t_12 = []
    pass
    def macro(l_1_bar, l_1_span):
        t_13 = []
        l_1_words = missing
        if l_1_bar is missing:
            l_1_bar = undefined("parameter 'bar' was not provided", name='bar')
        if l_1_span is missing:
            l_1_span = undefined("parameter 'span' was not provided", name='span')
        pass
        l_1_words = {'locked': 'waiting for lock', 'running': 'running', 'failed': 'failed attempt', 'retrying': 'retry delay'}
        v_2 = (l_1_words[l_1_span.kind])
        v_3 = (t_2((l_1_span.stop - l_1_span.start)))
        v_4 = (t_2(l_1_span.start))
        v_0, v_1 = all_escaped((l_1_bar.step.name, l_1_bar.step.word))
        t_13.append(
            f'{v_0}'
            f', {v_1}'
            f': {v_2}'
            f' {v_3}'
            f', from {v_4}'
        )
        return concat(t_13)
    context.exported_vars.add('span_title')
    context.vars['span_title'] = l_0_span_title = macro
    t_12.append(
        f'\n'
    )
    def macro(l_1_line, l_1_path, l_1_critical, l_1_runs):
        t_14 = []
        if l_1_line is missing:
            l_1_line = undefined("parameter 'line' was not provided", name='line')
        if l_1_path is missing:
            l_1_path = undefined("parameter 'path' was not provided", name='path')
        if l_1_critical is missing:
            l_1_critical = undefined("parameter 'critical' was not provided", name='critical')
        if l_1_runs is missing:
            l_1_runs = undefined("parameter 'runs' was not provided", name='runs')
        pass
        t_14.append(
            f'<figcaption class="quiet">\n<span><i class="span k-running passed key"></i> passed</span> <span><i class="span k-running failed key"></i> failed ✘</span>\n'
        )
        if l_1_runs:
            pass
            t_14.append(
                f'<span><i class="span k-running running key"></i> running</span>'
            )
        if t_4(l_1_line, 'timeout'):
            pass
            t_14.append(
                f'<span><i class="span k-running failed key"></i> timeout ◷</span>'
            )
        if t_4(l_1_line, 'interrupted'):
            pass
            t_14.append(
                f'<span><i class="span k-running blocked key"></i> interrupted !</span>'
            )
        if t_3(l_1_line, 'locked'):
            pass
            t_14.append(
                f'<span><i class="span k-locked key"></i> waiting for lock</span>'
            )
        if t_3(l_1_line, 'failed'):
            pass
            t_14.append(
                f'<span><i class="span k-failed key"></i> failed attempt</span> <span><i class="span k-retrying key"></i> retry delay</span>'
            )
        t_14.append(
            f'<span><i class="mark key"></i> Context key written</span>\n'
        )
        if l_1_path:
            pass
            v_1 = (t_2(l_1_critical.seconds))
            v_2 = (t_2(l_1_critical.whole))
            v_0 = escaped(t_1(t_5(l_1_path, ' > '), 400))
            t_14.append(
                f'<span><i class="span k-running passed critical key"></i> critical path: {v_0}'
                f', {v_1}'
                f' of {v_2}'
                f'</span>'
            )
        t_14.append(
            f'</figcaption>\n'
        )
        return concat(t_14)
    context.exported_vars.add('legend')
    context.vars['legend'] = l_0_legend = macro
    t_12.append(
        f'\n'
    )
    def macro(l_1_view):
        t_15 = []
        l_1_line = l_1_path = missing
        if l_1_view is missing:
            l_1_view = undefined("parameter 'view' was not provided", name='view')
        pass
        l_1_line = l_1_view.timeline
        l_1_path = (l_1_view.critical.names if (l_1_view.critical and (l_1_line.lanes > 1)) else ())
        v_0 = escaped(t_1(l_1_view.recipe.key, 200))
        t_15.append(
            f'<figure class="timeline" aria-label="Timeline of {v_0}'
            f'">\n'
        )
        l_2_loop = missing
        for l_2_row, l_2_loop in LoopContext(t_8(l_1_line), undefined):
            pass
            v_0 = ((' thin' if (not l_2_row.name) else ''))
            v_1 = ((' sampled' if l_2_row.bars[0].step.sampled else ''))
            t_15.append(
                f'<div class="lane{v_0}'
                f'{v_1}'
                f'"><span class="label">'
            )
            if l_2_row.bars[0].step.sampled:
                pass
                t_15.append(
                    f'<span class="quiet">sampled</span> '
                )
            if l_2_row.name:
                pass
                v_0, v_1 = all_escaped((l_1_view.anchors[l_2_row.name], l_2_row.name))
                t_15.append(
                    f'<a href="#{v_0}'
                    f'" tabindex="-1">{v_1}'
                    f'</a>'
                )
            else:
                pass
                v_0 = escaped(l_2_loop.index)
                t_15.append(
                    f'worker {v_0}'
                )
            t_15.append(
                f'</span><span class="track">\n'
            )
            for l_3_bar in l_2_row.bars:
                l_3_word = missing
                pass
                l_3_word = l_3_bar.step.word
                for l_4_span in l_3_bar.spans:
                    l_4_not_good = resolve('not_good')
                    pass
                    v_1 = ((' tabindex=-1' if l_2_row.name else ''))
                    v_2 = (l_4_span.kind)
                    v_3 = (t_6(l_3_word))
                    v_4 = ((' critical' if ((l_3_bar.step.name in l_1_path) and (l_4_span.kind in ('running', 'failed'))) else ''))
                    v_5 = (t_7(l_4_span.start, l_1_line.seconds))
                    v_6 = (t_7((l_4_span.stop - l_4_span.start), l_1_line.seconds))
                    v_0 = escaped(l_1_view.anchors[l_3_bar.step.name])
                    t_15.append(
                        f'<a href="#{v_0}'
                        f'"{v_1}'
                        f' class="span k-{v_2}'
                        f' {v_3}'
                        f'{v_4}'
                        f'" style="left:{v_5}'
                        f'%;width:{v_6}'
                        f'%"'
                    )
                    if (l_3_word in l_4_not_good):
                        pass
                        v_0 = (t_10(l_3_word))
                        t_15.append(
                            f' data-sign="{v_0}'
                            f'"'
                        )
                    v_0 = (l_0_span_title(l_3_bar, l_4_span))
                    t_15.append(
                        f' title="{v_0}'
                        f'"></a>\n'
                    )
                l_4_span = l_4_not_good = missing
                for l_4_mark in l_3_bar.marks[:40]:
                    pass
                    v_0 = (t_7(l_4_mark.at, l_1_line.seconds))
                    v_3 = (t_2(l_4_mark.at))
                    v_1, v_2 = all_escaped((l_4_mark.op, l_4_mark.key))
                    t_15.append(
                        f'<i class="mark" style="left:{v_0}'
                        f'%" title="{v_1}'
                        f' {v_2}'
                        f' at {v_3}'
                        f'"></i>\n'
                    )
                l_4_mark = missing
            l_3_bar = l_3_word = missing
            t_15.append(
                f'</span></div>\n'
            )
        l_2_loop = l_2_row = missing
        t_15.append(
            f'<div class="lane axis" aria-hidden="true"><span class="label"></span><span class="track"><i class="tick first" style="left:0"><b>0</b></i>'
        )
        for l_2_tick in l_1_line.ticks:
            pass
            v_0 = ((' last' if (l_2_tick > (0.96 * l_1_line.seconds)) else ''))
            v_1 = (t_7(l_2_tick, l_1_line.seconds))
            v_2 = escaped(t_11(l_2_tick))
            t_15.append(
                f'<i class="tick{v_0}'
                f'" style="left:{v_1}'
                f'%"><b>{v_2}'
                f'</b></i>'
            )
        l_2_tick = missing
        v_0 = (l_0_legend(l_1_line, l_1_path, l_1_view.critical, False))
        t_15.append(
            f'</span></div>\n{v_0}'
            f'\n</figure>\n'
        )
        return concat(t_15)
    context.exported_vars.add('timeline')
    context.vars['timeline'] = l_0_timeline = macro
    t_12.append(
        f'\n'
    )
    def macro(l_1_line):
        t_16 = []
        if l_1_line is missing:
            l_1_line = undefined("parameter 'line' was not provided", name='line')
        pass
        t_16.append(
            f'<figure class="timeline whole" aria-label="Timeline of the run">\n'
        )
        l_2_loop = missing
        for (l_2_name, l_2_bars), l_2_loop in LoopContext(l_1_line.rows, undefined):
            pass
            v_0 = ((' thin' if (not l_2_name) else ''))
            t_16.append(
                f'<div class="lane{v_0}'
                f'"><span class="label">'
            )
            if l_2_name:
                pass
                v_0 = (l_2_bars[0].anchor)
                v_1 = escaped(l_2_name)
                t_16.append(
                    f'<a href="#{v_0}'
                    f'" tabindex="-1">{v_1}'
                    f'</a>'
                )
            else:
                pass
                v_0 = escaped(l_2_loop.index)
                t_16.append(
                    f'lane {v_0}'
                )
            t_16.append(
                f'</span><span class="track">\n'
            )
            for l_3_bar in l_2_bars:
                pass
                v_0 = (l_3_bar.anchor)
                v_1 = (l_3_bar.look)
                v_2 = (t_7(l_3_bar.start, l_1_line.seconds))
                v_3 = (t_7((l_3_bar.stop - l_3_bar.start), l_1_line.seconds))
                v_5 = (t_2((l_3_bar.stop - l_3_bar.start)))
                v_6 = (t_2(l_3_bar.start))
                v_4 = escaped(l_3_bar.title)
                t_16.append(
                    f'<a href="#{v_0}'
                    f'" tabindex="-1" class="span k-running {v_1}'
                    f'" style="left:{v_2}'
                    f'%;width:{v_3}'
                    f'%" title="{v_4}'
                    f': {v_5}'
                    f', from {v_6}'
                    f'"></a>\n'
                )
                for (l_4_at, l_4_anchor, l_4_step, l_4_sign) in l_3_bar.failures:
                    pass
                    v_0 = (l_4_anchor)
                    v_1 = (t_7(l_4_at, l_1_line.seconds))
                    v_3 = (t_2(l_4_at))
                    v_4 = (l_4_sign)
                    v_2 = escaped(l_4_step)
                    t_16.append(
                        f'<a href="#{v_0}'
                        f'" tabindex="-1" class="fault" style="left:{v_1}'
                        f'%" title="{v_2}'
                        f', at {v_3}'
                        f'">{v_4}'
                        f'</a>\n'
                    )
                l_4_at = l_4_anchor = l_4_step = l_4_sign = missing
            l_3_bar = missing
            t_16.append(
                f'</span></div>\n'
            )
        l_2_loop = l_2_name = l_2_bars = missing
        t_16.append(
            f'<div class="lane axis" aria-hidden="true"><span class="label"></span><span class="track">'
        )
        for l_2_tick in l_1_line.ticks:
            pass
            v_0 = (t_7(l_2_tick, l_1_line.seconds))
            v_1 = escaped(t_11(l_2_tick))
            t_16.append(
                f'<i class="tick" style="left:{v_0}'
                f'%"><b>{v_1}'
                f'</b></i>'
            )
        l_2_tick = missing
        t_16.append(
            f'</span></div>\n</figure>\n'
        )
        return concat(t_16)
    context.exported_vars.add('run_timeline')
    context.vars['run_timeline'] = l_0_run_timeline = macro
    yield concat(t_12)

blocks = {}
debug_info = '1=77&2=85&6=103&9=117&10=122&11=127&12=132&13=137&15=145&19=165&20=171&21=172&23=179&24=188&25=210&26=213&27=214&28=234&30=247&36=268&41=291&43=300&44=307&45=325&47=344&53=368'
