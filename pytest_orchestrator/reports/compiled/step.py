"""`templates/step.html`, compiled by Jinja2 3.1.6."""

from pytest_orchestrator.reports.templating import Macro, TemplateRuntimeError, Undefined, escape, internalcode, markup_join, missing, Environment as environment
name = 'step.html'

def root(context, missing=missing, environment=environment):
    resolve = context.resolve_or_missing
    undefined = environment.undefined
    concat = environment.concat
    cond_expr_undefined = Undefined
    if 0: yield None
    l_0_state = l_0_measurements = l_0_curves_over = l_0_elements = l_0_curve_of = l_0_logs = l_0_step_item = missing
    try:
        t_1 = environment.filters['cut']
    except KeyError:
        @internalcode
        def t_1(*unused):
            raise TemplateRuntimeError("No filter named 'cut' found.")
    try:
        t_2 = environment.filters['format']
    except KeyError:
        @internalcode
        def t_2(*unused):
            raise TemplateRuntimeError("No filter named 'format' found.")
    try:
        t_3 = environment.filters['join']
    except KeyError:
        @internalcode
        def t_3(*unused):
            raise TemplateRuntimeError("No filter named 'join' found.")
    try:
        t_4 = environment.filters['length']
    except KeyError:
        @internalcode
        def t_4(*unused):
            raise TemplateRuntimeError("No filter named 'length' found.")
    try:
        t_5 = environment.filters['look']
    except KeyError:
        @internalcode
        def t_5(*unused):
            raise TemplateRuntimeError("No filter named 'look' found.")
    try:
        t_6 = environment.filters['replace']
    except KeyError:
        @internalcode
        def t_6(*unused):
            raise TemplateRuntimeError("No filter named 'replace' found.")
    try:
        t_7 = environment.filters['rerun']
    except KeyError:
        @internalcode
        def t_7(*unused):
            raise TemplateRuntimeError("No filter named 'rerun' found.")
    try:
        t_8 = environment.filters['round']
    except KeyError:
        @internalcode
        def t_8(*unused):
            raise TemplateRuntimeError("No filter named 'round' found.")
    try:
        t_9 = environment.filters['sign']
    except KeyError:
        @internalcode
        def t_9(*unused):
            raise TemplateRuntimeError("No filter named 'sign' found.")
    try:
        t_10 = environment.tests['defined']
    except KeyError:
        @internalcode
        def t_10(*unused):
            raise TemplateRuntimeError("No test named 'defined' found.")
    try:
        t_11 = environment.tests['none']
    except KeyError:
        @internalcode
        def t_11(*unused):
            raise TemplateRuntimeError("No test named 'none' found.")
    pass
    def macro(l_1_word):
        t_12 = []
        if l_1_word is missing:
            l_1_word = undefined("parameter 'word' was not provided", name='word')
        pass
        t_12.extend((
            '<span class="state ',
            escape(environment.finalize(t_5(l_1_word))),
            '"><span aria-hidden="true">',
            escape(environment.finalize(t_9(l_1_word))),
            '</span> ',
            escape(environment.finalize(l_1_word)),
            '</span>',
        ))
        return concat(t_12)
    context.exported_vars.add('state')
    context.vars['state'] = l_0_state = Macro(environment, macro, 'state', ('word',), False, False, False, context.eval_ctx.autoescape)
    yield '\n'
    def macro(l_1_each):
        t_13 = []
        if l_1_each is missing:
            l_1_each = undefined("parameter 'each' was not provided", name='each')
        pass
        if l_1_each:
            pass
            t_13.append(
                '<div class="scroll"><table class="measured"><thead><tr><th scope="col">Measurement</th><th scope="col" class="number">Value</th><th scope="col">Limits</th><th scope="col" class="bar-head">Value and limits</th><th scope="col" class="number">Margin to limit</th><th scope="col">Verdict</th></tr></thead><tbody>\n',
            )
            for l_2_one in l_1_each:
                _loop_vars = {}
                pass
                t_13.extend((
                    '<tr><td class="wide">',
                    escape(environment.finalize(environment.getattr(l_2_one, 'name'))),
                    '</td><td class="number">',
                    escape(environment.finalize(environment.getattr(l_2_one, 'value'))),
                    '&nbsp;',
                    escape(environment.finalize(environment.getattr(l_2_one, 'unit'))),
                    '</td><td',
                    escape(environment.finalize((' class=short' if (t_4(environment.getattr(l_2_one, 'expected')) < 30) else cond_expr_undefined("the inline if-expression on line 7 in 'step.html' evaluated to false and no else section was defined.")))),
                    '>',
                    escape(environment.finalize(environment.getattr(l_2_one, 'expected'))),
                    escape(environment.finalize((markup_join((' ', environment.getattr(l_2_one, 'unit'), )) if environment.getattr(l_2_one, 'expected') else cond_expr_undefined("the inline if-expression on line 7 in 'step.html' evaluated to false and no else section was defined.")))),
                    '</td><td>',
                ))
                if environment.getattr(l_2_one, 'bar'):
                    pass
                    t_13.extend((
                        '<span class="limits ',
                        escape(environment.finalize(environment.getattr(l_2_one, 'look'))),
                        '" role="img" aria-label="',
                        escape(environment.finalize(environment.getattr(l_2_one, 'name'))),
                        ' ',
                        escape(environment.finalize(environment.getattr(l_2_one, 'value'))),
                        ' ',
                        escape(environment.finalize(environment.getattr(l_2_one, 'unit'))),
                        ', expected ',
                        escape(environment.finalize(environment.getattr(l_2_one, 'expected'))),
                        ': ',
                        escape(environment.finalize(('marginal' if environment.getattr(l_2_one, 'marginal') else environment.getattr(l_2_one, 'verdict')))),
                        '"><i class="range',
                        escape(environment.finalize((' near' if environment.getattr(environment.getattr(l_2_one, 'bar'), 'clear') else cond_expr_undefined("the inline if-expression on line 7 in 'step.html' evaluated to false and no else section was defined.")))),
                        '" style="left:',
                        escape(environment.finalize(t_8((environment.getattr(environment.getattr(l_2_one, 'bar'), 'low') * 100), 2))),
                        '%;width:',
                        escape(environment.finalize(t_8(((environment.getattr(environment.getattr(l_2_one, 'bar'), 'high') - environment.getattr(environment.getattr(l_2_one, 'bar'), 'low')) * 100), 2))),
                        '%"></i>',
                    ))
                    if environment.getattr(environment.getattr(l_2_one, 'bar'), 'clear'):
                        pass
                        t_13.extend((
                            '<i class="clear" style="left:',
                            escape(environment.finalize(t_8((environment.getitem(environment.getattr(environment.getattr(l_2_one, 'bar'), 'clear'), 0) * 100), 2))),
                            '%;width:',
                            escape(environment.finalize(t_8(((environment.getitem(environment.getattr(environment.getattr(l_2_one, 'bar'), 'clear'), 1) - environment.getitem(environment.getattr(environment.getattr(l_2_one, 'bar'), 'clear'), 0)) * 100), 2))),
                            '%"></i>',
                        ))
                    t_13.extend((
                        '<i class="value" style="left:',
                        escape(environment.finalize(t_8((environment.getattr(environment.getattr(l_2_one, 'bar'), 'value') * 100), 2))),
                        '%"></i></span>',
                    ))
                t_13.extend((
                    '</td><td class="number">',
                    escape(environment.finalize(environment.getattr(l_2_one, 'margin'))),
                    '</td><td>',
                    escape(environment.finalize(context.call((undefined(name='state') if l_0_state is missing else l_0_state), context.call(environment.getattr({'pass': 'passed', 'unset': 'failed', 'fail': 'failed'}, 'get'), environment.getattr(l_2_one, 'verdict'), environment.getattr(l_2_one, 'verdict'), _loop_vars=_loop_vars), _loop_vars=_loop_vars))),
                    escape(environment.finalize((' (unset)' if (environment.getattr(l_2_one, 'verdict') == 'unset') else cond_expr_undefined("the inline if-expression on line 7 in 'step.html' evaluated to false and no else section was defined.")))),
                ))
                if environment.getattr(l_2_one, 'marginal'):
                    pass
                    t_13.extend((
                        ' ',
                        escape(environment.finalize(context.call((undefined(name='state') if l_0_state is missing else l_0_state), 'marginal', _loop_vars=_loop_vars))),
                    ))
                t_13.append(
                    '</td></tr>\n',
                )
            l_2_one = missing
            t_13.append(
                '</tbody></table></div>\n',
            )
        return concat(t_13)
    context.exported_vars.add('measurements')
    context.vars['measurements'] = l_0_measurements = Macro(environment, macro, 'measurements', ('each',), False, False, False, context.eval_ctx.autoescape)
    yield '\n'
    def macro(l_1_each):
        t_14 = []
        if l_1_each is missing:
            l_1_each = undefined("parameter 'each' was not provided", name='each')
        pass
        for l_2_one in l_1_each:
            _loop_vars = {}
            pass
            t_14.extend((
                '<figure class="over"><figcaption><b>',
                escape(environment.finalize(environment.getattr(l_2_one, 'name'))),
                '</b> <span class="quiet">',
                escape(environment.finalize(environment.getattr(l_2_one, 'bottom'))),
                ' to ',
                escape(environment.finalize(environment.getattr(l_2_one, 'top'))),
                '</span></figcaption><svg viewBox="0 0 640 150" preserveAspectRatio="none" role="img" aria-label="',
                escape(environment.finalize(environment.getattr(l_2_one, 'label'))),
                '">',
            ))
            if environment.getattr(l_2_one, 'low'):
                pass
                t_14.extend((
                    '<polyline class="limit" points="',
                    escape(environment.finalize(environment.getattr(l_2_one, 'low'))),
                    '"/>',
                ))
            if environment.getattr(l_2_one, 'high'):
                pass
                t_14.extend((
                    '<polyline class="limit" points="',
                    escape(environment.finalize(environment.getattr(l_2_one, 'high'))),
                    '"/>',
                ))
            t_14.extend((
                '<polyline class="course" points="',
                escape(environment.finalize(environment.getattr(l_2_one, 'line'))),
                '"/>',
            ))
            for l_3_mark in environment.getattr(l_2_one, 'marks'):
                _loop_vars = {}
                pass
                t_14.extend((
                    '<path class="mark ',
                    escape(environment.finalize(environment.getattr(l_3_mark, 'look'))),
                    '" d="M',
                    escape(environment.finalize(environment.getattr(l_3_mark, 'x'))),
                    ' ',
                    escape(environment.finalize(environment.getattr(l_3_mark, 'y'))),
                    'h0"><title>',
                    escape(environment.finalize(environment.getattr(l_3_mark, 'title'))),
                    '</title></path>',
                ))
            l_3_mark = missing
            t_14.extend((
                '</svg><div class="ends quiet"><span>',
                escape(environment.finalize(environment.getattr(l_2_one, 'first'))),
                '</span><span>',
                escape(environment.finalize(environment.getattr(l_2_one, 'last'))),
                '</span></div></figure>\n',
            ))
        l_2_one = missing
        return concat(t_14)
    context.exported_vars.add('curves_over')
    context.vars['curves_over'] = l_0_curves_over = Macro(environment, macro, 'curves_over', ('each',), False, False, False, context.eval_ctx.autoescape)
    yield '\n'
    def macro(l_1_all, l_1_step):
        t_15 = []
        if l_1_all is missing:
            l_1_all = undefined("parameter 'all' was not provided", name='all')
        if l_1_step is missing:
            l_1_step = undefined("parameter 'step' was not provided", name='step')
        pass
        t_15.append(
            '<div class="scroll"><table class="elements"><thead><tr>',
        )
        if l_1_step:
            pass
            t_15.append(
                '<th scope="col" class="number">Index</th><th scope="col">Element</th>',
            )
        else:
            pass
            t_15.append(
                '<th scope="col">Cell</th>',
            )
        t_15.append(
            '<th scope="col">State</th><th scope="col" class="number">Seconds</th>',
        )
        for l_2_name in environment.getattr(l_1_all, 'names'):
            _loop_vars = {}
            pass
            t_15.extend((
                '<th scope="col" class="number">',
                escape(environment.finalize(l_2_name)),
                '</th>',
            ))
        l_2_name = missing
        t_15.append(
            '<th scope="col">Reason</th>',
        )
        if l_1_step:
            pass
            t_15.append(
                '<th scope="col">Output</th>',
            )
        t_15.append(
            '</tr></thead><tbody>\n',
        )
        for l_2_one in environment.getattr(l_1_all, 'rows'):
            _loop_vars = {}
            pass
            t_15.append(
                '<tr>',
            )
            if l_1_step:
                pass
                t_15.extend((
                    '<td class="number">',
                    escape(environment.finalize(environment.getattr(l_2_one, 'number'))),
                    '</td><td><code>',
                    escape(environment.finalize(environment.getattr(l_2_one, 'item'))),
                    '</code></td>',
                ))
            else:
                pass
                t_15.extend((
                    '<td><a href="#',
                    escape(environment.finalize(environment.getattr(environment.getattr(l_2_one, 'element'), 'anchor'))),
                    '">',
                    escape(environment.finalize(environment.getattr(l_2_one, 'item'))),
                    '</a></td>',
                ))
            t_15.extend((
                '<td>',
                escape(environment.finalize(context.call((undefined(name='state') if l_0_state is missing else l_0_state), environment.getattr(l_2_one, 'state'), _loop_vars=_loop_vars))),
            ))
            if (environment.getattr(l_2_one, 'attempt') > 1):
                pass
                t_15.extend((
                    ' <span class="quiet">attempt ',
                    escape(environment.finalize(environment.getattr(l_2_one, 'attempt'))),
                    '</span>',
                ))
            t_15.extend((
                '</td><td class="number">',
                escape(environment.finalize(environment.getattr(l_2_one, 'seconds'))),
                '</td>',
            ))
            for (l_3_text, l_3_look) in environment.getattr(l_2_one, 'measured'):
                _loop_vars = {}
                pass
                t_15.extend((
                    '<td class="number',
                    escape(environment.finalize((markup_join((' of-', l_3_look, )) if l_3_look else cond_expr_undefined("the inline if-expression on line 23 in 'step.html' evaluated to false and no else section was defined.")))),
                    '">',
                    escape(environment.finalize(l_3_text)),
                    '</td>',
                ))
            l_3_text = l_3_look = missing
            t_15.extend((
                '<td class="wide">',
                escape(environment.finalize(environment.getattr(l_2_one, 'reason'))),
                '</td>',
            ))
            if l_1_step:
                pass
                t_15.append(
                    '<td>',
                )
                for l_3_log in context.call(environment.getattr(l_1_step, 'element_logs'), environment.getattr(l_2_one, 'element'), _loop_vars=_loop_vars):
                    _loop_vars = {}
                    pass
                    if environment.getattr(l_3_log, 'href'):
                        pass
                        t_15.extend((
                            '<a href="',
                            escape(environment.finalize(environment.getattr(l_3_log, 'href'))),
                            '">',
                            escape(environment.finalize(environment.getattr(l_3_log, 'name'))),
                            '</a> ',
                        ))
                l_3_log = missing
                t_15.append(
                    '</td>',
                )
            t_15.append(
                '</tr>\n',
            )
        l_2_one = missing
        t_15.append(
            '</tbody></table></div>\n',
        )
        if environment.getattr(l_1_all, 'more'):
            pass
            t_15.extend((
                '<p class="quiet">The journal has ',
                escape(environment.finalize(environment.getattr(l_1_all, 'more'))),
                ' more ',
                escape(environment.finalize(('elements' if l_1_step else 'cells'))),
                '.</p>',
            ))
        return concat(t_15)
    context.exported_vars.add('elements')
    context.vars['elements'] = l_0_elements = Macro(environment, macro, 'elements', ('all', 'step'), False, False, False, context.eval_ctx.autoescape)
    yield '\n'
    def macro(l_1_name, l_1_each):
        t_16 = []
        if l_1_name is missing:
            l_1_name = undefined("parameter 'name' was not provided", name='name')
        if l_1_each is missing:
            l_1_each = undefined("parameter 'each' was not provided", name='each')
        pass
        t_16.extend((
            '<figure class="sampled"><svg viewBox="0 0 640 160" role="img" aria-label="',
            escape(environment.finalize(l_1_name)),
            ': ',
            escape(environment.finalize(environment.getattr(l_1_each, 'bottom'))),
            ' to ',
            escape(environment.finalize(environment.getattr(l_1_each, 'top'))),
            ', ',
            escape(environment.finalize(environment.getattr(l_1_each, 'caption'))),
            '">\n<text x="0" y="14">',
            escape(environment.finalize(environment.getattr(l_1_each, 'top'))),
            '</text><text x="0" y="140">',
            escape(environment.finalize(environment.getattr(l_1_each, 'bottom'))),
            '</text><text x="64" y="156">',
            escape(environment.finalize(environment.getattr(l_1_each, 'start'))),
            '</text><text x="632" y="156" text-anchor="end">',
            escape(environment.finalize(environment.getattr(l_1_each, 'stop'))),
            '</text>\n',
        ))
        for l_2_one in environment.getattr(l_1_each, 'limits'):
            _loop_vars = {}
            pass
            t_16.extend((
                '<line class="limit" x1="64" x2="632" y1="',
                escape(environment.finalize(environment.getattr(l_2_one, 'y'))),
                '" y2="',
                escape(environment.finalize(environment.getattr(l_2_one, 'y'))),
                '"><title>',
                escape(environment.finalize(environment.getattr(l_2_one, 'label'))),
                '</title></line>',
            ))
        l_2_one = missing
        t_16.extend((
            '<polyline points="',
            escape(environment.finalize(environment.getattr(l_1_each, 'points'))),
            '"/>\n',
        ))
        for (l_2_x, l_2_y) in environment.getattr(l_1_each, 'outside'):
            _loop_vars = {}
            pass
            t_16.extend((
                '<circle cx="',
                escape(environment.finalize(l_2_x)),
                '" cy="',
                escape(environment.finalize(l_2_y)),
                '" r="2.5"/>',
            ))
        l_2_x = l_2_y = missing
        t_16.extend((
            '</svg><figcaption>',
            escape(environment.finalize(environment.getattr(l_1_each, 'caption'))),
        ))
        for l_2_one in environment.getattr(l_1_each, 'limits'):
            _loop_vars = {}
            pass
            t_16.extend((
                ', limit ',
                escape(environment.finalize(environment.getattr(l_2_one, 'label'))),
            ))
        l_2_one = missing
        t_16.append(
            '</figcaption></figure>\n',
        )
        return concat(t_16)
    context.exported_vars.add('curve_of')
    context.vars['curve_of'] = l_0_curve_of = Macro(environment, macro, 'curve_of', ('name', 'each'), False, False, False, context.eval_ctx.autoescape)
    yield '\n'
    def macro(l_1_each):
        t_17 = []
        if l_1_each is missing:
            l_1_each = undefined("parameter 'each' was not provided", name='each')
        pass
        for l_2_log in l_1_each:
            _loop_vars = {}
            pass
            t_17.extend((
                '<div class="log"><p><b>',
                escape(environment.finalize(environment.getattr(l_2_log, 'name'))),
                '</b> ',
            ))
            if environment.getattr(l_2_log, 'href'):
                pass
                t_17.extend((
                    '<a href="',
                    escape(environment.finalize(environment.getattr(l_2_log, 'href'))),
                    '">',
                    escape(environment.finalize(context.call(environment.getattr('{:,}', 'format'), environment.getattr(l_2_log, 'bytes'), _loop_vars=_loop_vars))),
                    ' bytes',
                    escape(environment.finalize((', truncated' if environment.getattr(l_2_log, 'cut') else cond_expr_undefined("the inline if-expression on line 40 in 'step.html' evaluated to false and no else section was defined.")))),
                    '</a>',
                ))
            else:
                pass
                t_17.extend((
                    '<code>',
                    escape(environment.finalize(environment.getattr(l_2_log, 'path'))),
                    '</code>, not a file of this run, not opened',
                ))
            if (environment.getattr(l_2_log, 'text') and (not environment.getattr(l_2_log, 'is_whole'))):
                pass
                t_17.extend((
                    ', last ',
                    escape(environment.finalize(context.call(environment.getattr('{:,}', 'format'), t_4(environment.getattr(l_2_log, 'text')), _loop_vars=_loop_vars))),
                    ' characters shown',
                ))
            t_17.append(
                '</p>\n',
            )
            if environment.getattr(l_2_log, 'text'):
                pass
                t_17.extend((
                    '<pre class="output" tabindex="0">',
                    escape(environment.finalize(environment.getattr(l_2_log, 'text'))),
                    '</pre>',
                ))
            t_17.append(
                '</div>\n',
            )
        l_2_log = missing
        return concat(t_17)
    context.exported_vars.add('logs')
    context.vars['logs'] = l_0_logs = Macro(environment, macro, 'logs', ('each',), False, False, False, context.eval_ctx.autoescape)
    yield '\n'
    def macro(l_1_step, l_1_number, l_1_several):
        t_18 = []
        l_1_by = l_1_about = l_1_block = l_1_used = l_1_look = l_1_reason = l_1_command = missing
        if l_1_step is missing:
            l_1_step = undefined("parameter 'step' was not provided", name='step')
        if l_1_number is missing:
            l_1_number = undefined("parameter 'number' was not provided", name='number')
        if l_1_several is missing:
            l_1_several = undefined("parameter 'several' was not provided", name='several')
        pass
        l_1_by = environment.getattr(l_1_step, 'sorted_by')
        l_1_about = environment.getattr(l_1_step, 'about')
        l_1_block = environment.getattr(l_1_step, 'block')
        l_1_used = environment.getattr(l_1_step, 'used')
        l_1_look = environment.getattr(l_1_step, 'look')
        l_1_reason = environment.getattr(l_1_step, 'reason')
        l_1_command = environment.getattr(l_1_step, 'command')
        t_18.extend((
            '<details class="step ',
            escape(environment.finalize((undefined(name='look') if l_1_look is missing else l_1_look))),
            '" id="',
            escape(environment.finalize(environment.getattr(l_1_step, 'anchor'))),
            '" data-order="',
            escape(environment.finalize(environment.getattr(l_1_step, 'order'))),
            '" data-name="',
            escape(environment.finalize(environment.getattr(l_1_step, 'name'))),
            '" data-state="',
            escape(environment.finalize(environment.getattr(l_1_step, 'state'))),
            '" data-seconds="',
            escape(environment.finalize(environment.getitem((undefined(name='by') if l_1_by is missing else l_1_by), 'seconds'))),
            '" data-cpu="',
            escape(environment.finalize(environment.getitem((undefined(name='by') if l_1_by is missing else l_1_by), 'cpu'))),
            '" data-peak="',
            escape(environment.finalize(environment.getitem((undefined(name='by') if l_1_by is missing else l_1_by), 'peak'))),
            '" data-wrote="',
            escape(environment.finalize(environment.getattr(l_1_step, 'written_keys'))),
            '" data-tags="',
            escape(environment.finalize(t_3(environment.getattr(l_1_step, 'tags'), ' '))),
            '" data-of="',
            escape(environment.finalize(l_1_number)),
            '" data-reason="',
            escape(environment.finalize((undefined(name='reason') if l_1_reason is missing else l_1_reason))),
            '">\n<summary class="row"><span class="c-name"><span class="name">',
            escape(environment.finalize(environment.getattr(l_1_step, 'name'))),
            '</span>',
        ))
        if l_1_several:
            pass
            t_18.extend((
                ' <span class="of">',
                escape(environment.finalize(environment.getattr(l_1_step, 'recipe'))),
                '</span>',
            ))
        if (undefined(name='reason') if l_1_reason is missing else l_1_reason):
            pass
            t_18.extend((
                '<span class="why">',
                escape(environment.finalize((undefined(name='reason') if l_1_reason is missing else l_1_reason))),
                '</span>',
            ))
        t_18.extend((
            '</span><span class="c-state"><span class="state ',
            escape(environment.finalize((undefined(name='look') if l_1_look is missing else l_1_look))),
            '"><span aria-hidden="true">',
            escape(environment.finalize(environment.getattr(l_1_step, 'sign'))),
            '</span> ',
            escape(environment.finalize(environment.getattr(l_1_step, 'state'))),
            '</span>',
        ))
        if (environment.getattr(environment.getattr(l_1_step, 'step'), 'attempt') > 1):
            pass
            t_18.extend((
                ' <span class="quiet">attempt ',
                escape(environment.finalize(environment.getattr(environment.getattr(l_1_step, 'step'), 'attempt'))),
                '</span>',
            ))
        if environment.getattr(environment.getattr(l_1_step, 'step'), 'reruns'):
            pass
            t_18.extend((
                ' <span class="quiet">',
                escape(environment.finalize(t_7(environment.getattr(environment.getattr(l_1_step, 'step'), 'reruns')))),
                '</span>',
            ))
        if ((environment.getattr((undefined(name='block') if l_1_block is missing else l_1_block), 'measurements') or environment.getattr((undefined(name='block') if l_1_block is missing else l_1_block), 'elements')) and environment.getattr(l_1_step, 'marginal')):
            pass
            t_18.extend((
                ' ',
                escape(environment.finalize(context.call((undefined(name='state') if l_0_state is missing else l_0_state), 'marginal'))),
                '&nbsp;',
                escape(environment.finalize(environment.getattr(l_1_step, 'marginal'))),
            ))
        t_18.extend((
            '</span><span class="c-seconds">',
            escape(environment.finalize(environment.getattr(l_1_step, 'seconds'))),
            '</span><span class="c-cpu">',
            escape(environment.finalize((t_2('%.2f', environment.getattr(l_1_step, 'cpu')) if (not t_11(environment.getattr(l_1_step, 'cpu'))) else '-'))),
            '</span><span class="c-peak">',
            escape(environment.finalize(environment.getattr(l_1_step, 'peak'))),
            '</span><span class="c-wrote">',
            escape(environment.finalize((environment.getattr(l_1_step, 'written_keys') or '-'))),
            '</span></summary>\n<div class="panel">\n',
        ))
        if ('description' in (undefined(name='about') if l_1_about is missing else l_1_about)):
            pass
            t_18.extend((
                '<p>',
                escape(environment.finalize(t_1(environment.getitem((undefined(name='about') if l_1_about is missing else l_1_about), 'description'), 600))),
                '</p>',
            ))
        t_18.extend((
            '<p class="quiet">',
            escape(environment.finalize(environment.getattr(l_1_step, 'line'))),
            '</p>\n',
        ))
        if environment.getattr(environment.getattr(l_1_step, 'step'), 'text'):
            pass
            t_18.extend((
                '<pre class="text" tabindex="0">',
                escape(environment.finalize(environment.getattr(l_1_step, 'text'))),
                '</pre>',
            ))
        if ((undefined(name='look') if l_1_look is missing else l_1_look) == 'failed'):
            pass
            t_18.extend((
                '<p class="command"><code>',
                escape(environment.finalize(environment.getattr(l_1_step, 'rerun_command'))),
                '</code> <button type="button" class="copy" data-copy="',
                escape(environment.finalize(environment.getattr(l_1_step, 'rerun_command'))),
                '">Copy</button></p>',
            ))
        if environment.getattr((undefined(name='block') if l_1_block is missing else l_1_block), 'answers'):
            pass
            for l_2_answer in environment.getattr(l_1_step, 'answers'):
                _loop_vars = {}
                pass
                t_18.extend((
                    '<p class="quiet">',
                    escape(environment.finalize(l_2_answer)),
                    '</p>',
                ))
            l_2_answer = missing
        for l_2_warning in environment.getattr(l_1_step, 'warnings'):
            _loop_vars = {}
            pass
            t_18.extend((
                '<p class="warning">! ',
                escape(environment.finalize(l_2_warning)),
                '</p>',
            ))
        l_2_warning = missing
        if environment.getattr((undefined(name='block') if l_1_block is missing else l_1_block), 'measurements'):
            pass
            t_18.append(
                escape(environment.finalize(context.call((undefined(name='measurements') if l_0_measurements is missing else l_0_measurements), environment.getattr(l_1_step, 'measurements')))),
            )
        if environment.getattr(environment.getattr(l_1_step, 'step'), 'block_elements'):
            pass
            t_18.extend((
                escape(environment.finalize(context.call((undefined(name='curves_over') if l_0_curves_over is missing else l_0_curves_over), environment.getattr(l_1_step, 'element_curves')))),
                escape(environment.finalize(context.call((undefined(name='elements') if l_0_elements is missing else l_0_elements), environment.getattr(l_1_step, 'elements'), l_1_step))),
            ))
        if (environment.getattr((undefined(name='block') if l_1_block is missing else l_1_block), 'curve') and environment.getattr(l_1_step, 'curve')):
            pass
            t_18.append(
                escape(environment.finalize(context.call((undefined(name='curve_of') if l_0_curve_of is missing else l_0_curve_of), environment.getattr(l_1_step, 'name'), environment.getattr(l_1_step, 'curve')))),
            )
        if environment.getattr((undefined(name='block') if l_1_block is missing else l_1_block), 'criteria'):
            pass
            t_18.append(
                '<ul class="criteria">\n',
            )
            for l_2_one in environment.getattr(l_1_step, 'criteria'):
                _loop_vars = {}
                pass
                t_18.append(
                    '<li>',
                )
                if environment.getattr(l_2_one, 'held'):
                    pass
                    t_18.append(
                        '✔',
                    )
                else:
                    pass
                    t_18.append(
                        escape(environment.finalize(context.call((undefined(name='state') if l_0_state is missing else l_0_state), 'failed', _loop_vars=_loop_vars))),
                    )
                t_18.extend((
                    ' <b>',
                    escape(environment.finalize(environment.getattr(l_2_one, 'name'))),
                    '</b> <code>',
                    escape(environment.finalize(environment.getattr(l_2_one, 'wanted'))),
                    '</code>',
                ))
                if environment.getattr(l_2_one, 'measured'):
                    pass
                    t_18.extend((
                        ', measured ',
                        escape(environment.finalize(environment.getattr(l_2_one, 'measured'))),
                    ))
                if environment.getattr(l_2_one, 'reason'):
                    pass
                    t_18.extend((
                        ': ',
                        escape(environment.finalize(environment.getattr(l_2_one, 'reason'))),
                    ))
                t_18.extend((
                    ' <span class="quiet">line ',
                    escape(environment.finalize(environment.getattr(l_2_one, 'line'))),
                    '</span></li>\n',
                ))
            l_2_one = missing
            t_18.append(
                '</ul>\n',
            )
            if environment.getattr(l_1_step, 'more_criteria'):
                pass
                t_18.extend((
                    '<p class="quiet">The journal has ',
                    escape(environment.finalize(environment.getattr(l_1_step, 'more_criteria'))),
                    ' more.</p>',
                ))
        if ((undefined(name='command') if l_1_command is missing else l_1_command) or environment.getattr((undefined(name='block') if l_1_block is missing else l_1_block), 'given')):
            pass
            t_18.append(
                '<details class="more"><summary>Inputs</summary>\n',
            )
            if (undefined(name='command') if l_1_command is missing else l_1_command):
                pass
                t_18.extend((
                    '<p class="command"><code>',
                    escape(environment.finalize((undefined(name='command') if l_1_command is missing else l_1_command))),
                    '</code></p>',
                ))
            if environment.getattr((undefined(name='block') if l_1_block is missing else l_1_block), 'given'):
                pass
                t_18.append(
                    '<table><tbody>',
                )
                for (l_2_name, l_2_value) in environment.getattr(l_1_step, 'inputs'):
                    _loop_vars = {}
                    pass
                    t_18.extend((
                        '<tr><th scope="row">',
                        escape(environment.finalize(l_2_name)),
                        '</th><td class="wide"><code>',
                        escape(environment.finalize(l_2_value)),
                        '</code></td></tr>',
                    ))
                l_2_name = l_2_value = missing
                t_18.append(
                    '</tbody></table>',
                )
            t_18.append(
                '</details>\n',
            )
        if environment.getattr(l_1_step, 'written_keys'):
            pass
            t_18.append(
                '<ul class="writes">\n',
            )
            for l_2_one in environment.getattr(l_1_step, 'writes'):
                _loop_vars = {}
                pass
                t_18.extend((
                    '<li>',
                    escape(environment.finalize(environment.getattr(l_2_one, 'op'))),
                    ' <b>',
                    escape(environment.finalize(environment.getattr(l_2_one, 'key'))),
                    '</b>',
                ))
                if t_10(environment.getattr(l_2_one, 'index')):
                    pass
                    t_18.extend((
                        '[',
                        escape(environment.finalize(environment.getattr(l_2_one, 'index'))),
                        ']',
                    ))
                t_18.append(
                    ' ',
                )
                if environment.getattr(l_2_one, 'had'):
                    pass
                    t_18.extend((
                        '<code>',
                        escape(environment.finalize(environment.getattr(l_2_one, 'old'))),
                        '</code> ',
                    ))
                if (environment.getattr(l_2_one, 'op') not in ('delete', 'pop')):
                    pass
                    t_18.extend((
                        '→ <code>',
                        escape(environment.finalize(environment.getattr(l_2_one, 'new'))),
                        '</code>',
                    ))
                if environment.getattr(l_2_one, 'masked'):
                    pass
                    t_18.append(
                        ' masked',
                    )
                t_18.append(
                    '</li>\n',
                )
            l_2_one = missing
            t_18.append(
                '</ul>\n',
            )
            if environment.getattr(l_1_step, 'more_writes'):
                pass
                t_18.extend((
                    '<p class="quiet">The journal has ',
                    escape(environment.finalize(environment.getattr(l_1_step, 'more_writes'))),
                    ' more.</p>',
                ))
        if (environment.getattr((undefined(name='block') if l_1_block is missing else l_1_block), 'attempts') or ((not (undefined(name='block') if l_1_block is missing else l_1_block)) and environment.getattr(environment.getattr(l_1_step, 'step'), 'failed'))):
            pass
            t_18.append(
                '<table><thead><tr><th scope="col">Attempt</th><th scope="col">Reason of failure</th><th scope="col" class="number">Seconds</th><th scope="col">Output</th></tr></thead><tbody>\n',
            )
            for l_2_one in environment.getattr(l_1_step, 'attempts'):
                _loop_vars = {}
                pass
                t_18.extend((
                    '<tr><td>',
                    escape(environment.finalize(environment.getattr(l_2_one, 'attempt'))),
                    '</td><td class="wide">',
                ))
                if (environment.getattr(l_2_one, 'kind') != 'exit_code'):
                    pass
                    t_18.extend((
                        escape(environment.finalize(t_6(environment.getattr(l_2_one, 'kind'), '_', ' '))),
                        ': ',
                    ))
                t_18.extend((
                    escape(environment.finalize(environment.getattr(l_2_one, 'reason'))),
                    '</td><td class="number">',
                    escape(environment.finalize((t_2('%.2f', environment.getattr(l_2_one, 'seconds')) if t_10(environment.getattr(l_2_one, 'seconds')) else '-'))),
                    '</td><td>',
                ))
                for l_3_log in environment.getattr(l_2_one, 'logs'):
                    _loop_vars = {}
                    pass
                    if environment.getattr(l_3_log, 'href'):
                        pass
                        t_18.extend((
                            '<a href="',
                            escape(environment.finalize(environment.getattr(l_3_log, 'href'))),
                            '">',
                            escape(environment.finalize(environment.getattr(l_3_log, 'name'))),
                            '</a>',
                        ))
                    else:
                        pass
                        t_18.extend((
                            escape(environment.finalize(environment.getattr(l_3_log, 'name'))),
                            ': <code>',
                            escape(environment.finalize(environment.getattr(l_3_log, 'path'))),
                            '</code>, not a file of this run',
                        ))
                    t_18.append(
                        ' ',
                    )
                l_3_log = missing
                t_18.append(
                    '</td></tr>\n',
                )
            l_2_one = missing
            t_18.append(
                '</tbody></table>\n',
            )
        if environment.getattr(l_1_step, 'logs'):
            pass
            t_18.append(
                escape(environment.finalize(context.call((undefined(name='logs') if l_0_logs is missing else l_0_logs), environment.getattr(l_1_step, 'logs')))),
            )
        if environment.getattr((undefined(name='block') if l_1_block is missing else l_1_block), 'artifacts'):
            pass
            t_18.append(
                '<ul class="files">',
            )
            for l_2_file in environment.getattr(l_1_step, 'attachments'):
                _loop_vars = {}
                pass
                t_18.append(
                    '<li>',
                )
                if environment.getattr(l_2_file, 'href'):
                    pass
                    t_18.extend((
                        '<a href="',
                        escape(environment.finalize(environment.getattr(l_2_file, 'href'))),
                        '">',
                    ))
                    if environment.getattr(l_2_file, 'picture'):
                        pass
                        t_18.extend((
                            '<img src="',
                            escape(environment.finalize(environment.getattr(l_2_file, 'picture'))),
                            '" alt="" loading="lazy">',
                        ))
                    t_18.extend((
                        escape(environment.finalize(environment.getattr(l_2_file, 'name'))),
                        '</a>',
                    ))
                else:
                    pass
                    t_18.extend((
                        '<code>',
                        escape(environment.finalize(environment.getattr(l_2_file, 'path'))),
                        '</code>, not a file of this run, not opened',
                    ))
                t_18.extend((
                    ' <span class="quiet">',
                    escape(environment.finalize(environment.getattr(l_2_file, 'type'))),
                    ', ',
                    escape(environment.finalize(context.call(environment.getattr('{:,}', 'format'), environment.getattr(l_2_file, 'bytes'), _loop_vars=_loop_vars))),
                    ' bytes</span></li>',
                ))
            l_2_file = missing
            t_18.append(
                '</ul>\n',
            )
        if (undefined(name='used') if l_1_used is missing else l_1_used):
            pass
            t_18.extend((
                '<div class="curves" data-curves="',
                escape(environment.finalize(environment.getattr(l_1_step, 'anchor'))),
                '"></div>\n<dl class="figures"',
            ))
            if environment.getattr(l_1_step, 'source'):
                pass
                t_18.extend((
                    ' title="Sources: ',
                    escape(environment.finalize(environment.getattr(l_1_step, 'source'))),
                    '"',
                ))
            t_18.append(
                '>',
            )
            for (l_2_name, l_2_figure) in environment.getattr(l_1_step, 'figures'):
                _loop_vars = {}
                pass
                t_18.extend((
                    '<div><dt>',
                    escape(environment.finalize(l_2_name)),
                    '<dd>',
                    escape(environment.finalize(l_2_figure)),
                    '</div>',
                ))
            l_2_name = l_2_figure = missing
            if ('exit_code' in environment.getattr(l_1_step, 'process')):
                pass
                t_18.extend((
                    '<div><dt>Exit code</dt><dd>',
                    escape(environment.finalize(environment.getitem(environment.getattr(l_1_step, 'process'), 'exit_code'))),
                    '</dd></div>',
                ))
            if ('signal' in environment.getattr(l_1_step, 'process')):
                pass
                t_18.extend((
                    '<div><dt>Signal</dt><dd>',
                    escape(environment.finalize(environment.getitem(environment.getattr(l_1_step, 'process'), 'signal'))),
                    '</dd></div>',
                ))
            t_18.append(
                '</dl>\n',
            )
        t_18.append(
            '</div>\n</details>\n',
        )
        return concat(t_18)
    context.exported_vars.add('step_item')
    context.vars['step_item'] = l_0_step_item = Macro(environment, macro, 'step_item', ('step', 'number', 'several'), False, False, False, context.eval_ctx.autoescape)

blocks = {}
debug_info = '1=78&3=96&4=101&6=106&7=111&13=184&14=189&15=194&20=249&21=259&22=292&23=298&26=376&29=389&30=398&31=406&32=415&33=430&34=433&35=446&38=463&39=468&40=473&41=504&45=519&47=529&48=530&49=531&50=532&51=533&52=534&53=535&54=538&55=562&57=621&58=630&59=633&60=640&61=649&62=660&63=669&64=674&65=680&66=685&68=690&69=696&72=734&74=741&76=746&77=753&80=775&82=780&83=785&86=826&88=833&90=838&91=843&95=889&96=894&97=899&99=941&100=945&101=948'
