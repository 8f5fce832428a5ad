"""`templates/timeline.html`, compiled by Jinja2 3.1.6."""

from pytest_orchestrator.reports.templating import LoopContext, Macro, TemplateRuntimeError, Undefined, escape, internalcode, missing, Environment as environment
name = 'timeline.html'

def root(context, missing=missing, environment=environment):
    resolve = context.resolve_or_missing
    undefined = environment.undefined
    concat = environment.concat
    cond_expr_undefined = Undefined
    if 0: yield None
    l_0_timeline = missing
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
        t_6 = environment.filters['look']
    except KeyError:
        @internalcode
        def t_6(*unused):
            raise TemplateRuntimeError("No filter named 'look' found.")
    try:
        t_7 = environment.filters['rows']
    except KeyError:
        @internalcode
        def t_7(*unused):
            raise TemplateRuntimeError("No filter named 'rows' found.")
    try:
        t_8 = environment.filters['tick']
    except KeyError:
        @internalcode
        def t_8(*unused):
            raise TemplateRuntimeError("No filter named 'tick' found.")
    pass
    def macro(l_1_view):
        t_9 = []
        l_1_line = l_1_rows = l_1_path = missing
        if l_1_view is missing:
            l_1_view = undefined("parameter 'view' was not provided", name='view')
        pass
        l_1_line = environment.getattr(l_1_view, 'timeline')
        l_1_rows = (t_5(environment.getattr((undefined(name='line') if l_1_line is missing else l_1_line), 'bars')) <= 60)
        l_1_path = (environment.getattr(environment.getattr(l_1_view, 'critical'), 'names') if (environment.getattr(l_1_view, 'critical') and (environment.getattr((undefined(name='line') if l_1_line is missing else l_1_line), 'lanes') > 1)) else ())
        t_9.extend((
            '<figure class="timeline" aria-label="Timeline of ',
            escape(environment.finalize(t_1(environment.getattr(environment.getattr(l_1_view, 'recipe'), 'key'), 200))),
            '">\n',
        ))
        l_2_loop = missing
        for l_2_row, l_2_loop in LoopContext(t_7((undefined(name='line') if l_1_line is missing else l_1_line)), undefined):
            _loop_vars = {}
            pass
            t_9.extend((
                '<div class="lane',
                escape(environment.finalize((' thin' if (not environment.getattr(l_2_row, 'name')) else cond_expr_undefined("the inline if-expression on line 7 in 'timeline.html' evaluated to false and no else section was defined.")))),
                '"><span class="label">',
            ))
            if environment.getattr(l_2_row, 'name'):
                pass
                t_9.extend((
                    '<a href="#',
                    escape(environment.finalize(environment.getitem(environment.getattr(l_1_view, 'anchors'), environment.getattr(l_2_row, 'name')))),
                    '">',
                    escape(environment.finalize(environment.getattr(l_2_row, 'name'))),
                    '</a>',
                ))
            else:
                pass
                t_9.extend((
                    'worker ',
                    escape(environment.finalize(environment.getattr(l_2_loop, 'index'))),
                ))
            t_9.append(
                '</span><span class="track">\n',
            )
            for l_3_bar in environment.getattr(l_2_row, 'bars'):
                _loop_vars = {}
                pass
                for l_4_span in environment.getattr(l_3_bar, 'spans'):
                    l_4_percent = resolve('percent')
                    _loop_vars = {}
                    pass
                    t_9.extend((
                        '<a href="#',
                        escape(environment.finalize(environment.getitem(environment.getattr(l_1_view, 'anchors'), environment.getattr(environment.getattr(l_3_bar, 'step'), 'name')))),
                        '"',
                        escape(environment.finalize((' tabindex=-1' if environment.getattr(l_2_row, 'name') else ''))),
                        ' class="span k-',
                        escape(environment.finalize(environment.getattr(l_4_span, 'kind'))),
                        ' ',
                        escape(environment.finalize(t_6(environment.getattr(environment.getattr(l_3_bar, 'step'), 'state')))),
                        escape(environment.finalize((' critical' if ((environment.getattr(environment.getattr(l_3_bar, 'step'), 'name') in (undefined(name='path') if l_1_path is missing else l_1_path)) and (environment.getattr(l_4_span, 'kind') in ('running', 'failed'))) else ''))),
                        '" style="left:',
                        escape(environment.finalize(context.call((undefined(name='percent') if l_4_percent is missing else l_4_percent), environment.getattr(l_4_span, 'start'), environment.getattr((undefined(name='line') if l_1_line is missing else l_1_line), 'seconds'), _loop_vars=_loop_vars))),
                        '%;width:',
                        escape(environment.finalize(context.call((undefined(name='percent') if l_4_percent is missing else l_4_percent), (environment.getattr(l_4_span, 'stop') - environment.getattr(l_4_span, 'start')), environment.getattr((undefined(name='line') if l_1_line is missing else l_1_line), 'seconds'), _loop_vars=_loop_vars))),
                        '%" title="',
                        escape(environment.finalize(environment.getattr(environment.getattr(l_3_bar, 'step'), 'name'))),
                        ', ',
                        escape(environment.finalize(environment.getattr(environment.getattr(l_3_bar, 'step'), 'state'))),
                        ': ',
                        escape(environment.finalize(environment.getitem({'locked': 'waiting for lock', 'running': 'running', 'failed': 'failed attempt', 'retrying': 'retry delay'}, environment.getattr(l_4_span, 'kind')))),
                        ' ',
                        escape(environment.finalize(t_2((environment.getattr(l_4_span, 'stop') - environment.getattr(l_4_span, 'start'))))),
                        ', from ',
                        escape(environment.finalize(t_2(environment.getattr(l_4_span, 'start')))),
                        '"></a>\n',
                    ))
                l_4_span = l_4_percent = missing
                for l_4_mark in environment.getattr(l_3_bar, 'marks')[:40]:
                    l_4_percent = resolve('percent')
                    _loop_vars = {}
                    pass
                    t_9.extend((
                        '<i class="mark" style="left:',
                        escape(environment.finalize(context.call((undefined(name='percent') if l_4_percent is missing else l_4_percent), environment.getattr(l_4_mark, 'at'), environment.getattr((undefined(name='line') if l_1_line is missing else l_1_line), 'seconds'), _loop_vars=_loop_vars))),
                        '%" title="',
                        escape(environment.finalize(environment.getattr(l_4_mark, 'op'))),
                        ' ',
                        escape(environment.finalize(environment.getattr(l_4_mark, 'key'))),
                        ' at ',
                        escape(environment.finalize(t_2(environment.getattr(l_4_mark, 'at')))),
                        '"></i>\n',
                    ))
                l_4_mark = l_4_percent = missing
            l_3_bar = missing
            t_9.append(
                '</span></div>\n',
            )
        l_2_loop = l_2_row = missing
        t_9.append(
            '<div class="lane axis" aria-hidden="true"><span class="label"></span><span class="track">',
        )
        for l_2_tick in environment.getattr((undefined(name='line') if l_1_line is missing else l_1_line), 'ticks'):
            l_2_percent = resolve('percent')
            _loop_vars = {}
            pass
            t_9.extend((
                '<i class="tick" style="left:',
                escape(environment.finalize(context.call((undefined(name='percent') if l_2_percent is missing else l_2_percent), l_2_tick, environment.getattr((undefined(name='line') if l_1_line is missing else l_1_line), 'seconds'), _loop_vars=_loop_vars))),
                '%"><b>',
                escape(environment.finalize(t_8(l_2_tick))),
                '</b></i>',
            ))
        l_2_tick = l_2_percent = missing
        t_9.append(
            '</span></div>\n<figcaption class="quiet">\n<span><i class="span k-running passed key"></i> running (colour by outcome)</span>\n',
        )
        if t_3((undefined(name='line') if l_1_line is missing else l_1_line), 'locked'):
            pass
            t_9.append(
                '<span><i class="span k-locked key"></i> waiting for lock</span>',
            )
        if t_3((undefined(name='line') if l_1_line is missing else l_1_line), 'failed'):
            pass
            t_9.append(
                '<span><i class="span k-failed key"></i> failed attempt</span> <span><i class="span k-retrying key"></i> retry delay</span>',
            )
        t_9.append(
            '<span><i class="mark key"></i> Context key written</span>\n',
        )
        if (undefined(name='path') if l_1_path is missing else l_1_path):
            pass
            t_9.extend((
                '<span><i class="span k-running passed critical key"></i> critical path: ',
                escape(environment.finalize(t_1(t_4((undefined(name='path') if l_1_path is missing else l_1_path), ' > '), 400))),
                ', ',
                escape(environment.finalize(t_2(environment.getattr(environment.getattr(l_1_view, 'critical'), 'seconds')))),
                ' of ',
                escape(environment.finalize(t_2(environment.getattr(environment.getattr(l_1_view, 'critical'), 'whole')))),
                '</span>',
            ))
        t_9.append(
            '</figcaption>\n</figure>\n',
        )
        return concat(t_9)
    context.exported_vars.add('timeline')
    context.vars['timeline'] = l_0_timeline = Macro(environment, macro, 'timeline', ('view',), False, False, False, context.eval_ctx.autoescape)

blocks = {}
debug_info = '1=60&2=66&3=67&4=68&5=71&6=75&7=80&8=101&9=104&10=110&12=135&13=141&18=159&21=174&22=179&24=187'
