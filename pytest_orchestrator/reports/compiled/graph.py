"""`templates/graph.svg`, compiled by Jinja2 3.1.6."""

from pytest_orchestrator.reports.templating import Markup, TemplateRuntimeError, Undefined, escape, identity, internalcode, missing, Environment as environment
name = 'graph.svg'

def root(context, missing=missing, environment=environment):
    resolve = context.resolve_or_missing
    undefined = environment.undefined
    concat = environment.concat
    cond_expr_undefined = Undefined
    if 0: yield None
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
    pass
    yield '<svg xmlns="http://www.w3.org/2000/svg" class="graph" width="'
    yield escape(environment.finalize(t_1((undefined(name='width') if l_0_width is missing else l_0_width), 1)))
    yield '" height="'
    yield escape(environment.finalize(t_1((undefined(name='height') if l_0_height is missing else l_0_height), 1)))
    yield '" viewBox="0 0 '
    yield escape(environment.finalize(t_1((undefined(name='width') if l_0_width is missing else l_0_width), 1)))
    yield ' '
    yield escape(environment.finalize(t_1((undefined(name='height') if l_0_height is missing else l_0_height), 1)))
    yield '" role="group" aria-label="Graph of the steps">\n'
    if (undefined(name='alone') if l_0_alone is missing else l_0_alone):
        pass
        yield '<style>\n.graph { font: 13px system-ui, sans-serif; --fg: #1f2328; --line: #6e7781; --bg: #ffffff; --passed: #116329; --failed: #a40e26; --blocked: #7d4e00; --running: #0550ae; --skipped: #57606a; --waiting: #57606a; --passed-bg: #dafbe1; --failed-bg: #ffebe9; --blocked-bg: #fff8c5; --running-bg: #ddf4ff; --skipped-bg: #f6f8fa; --waiting-bg: #ffffff }\n@media (prefers-color-scheme: dark) { .graph { --fg: #e6edf3; --line: #8b949e; --bg: #0d1117; --passed: #56d364; --failed: #ff7b72; --blocked: #e3b341; --running: #79c0ff; --skipped: #9da7b3; --waiting: #9da7b3; --passed-bg: #0f2a17; --failed-bg: #3a1418; --blocked-bg: #2e2506; --running-bg: #0c2744; --skipped-bg: #161b22; --waiting-bg: #0d1117; background: #0d1117 } }\n.arrow { fill: none; stroke: var(--line); stroke-width: 1.3 } .weak { stroke-dasharray: 4 3 } .head { fill: var(--line) }\n.box rect { stroke-width: 1.5 } .box text { fill: var(--fg) } .box .told { font-size: 11.5px } .final rect { stroke-dasharray: 5 3 }\n'
        for l_1_one in ['passed', 'failed', 'blocked', 'running', 'skipped', 'waiting']:
            _loop_vars = {}
            pass
            yield '.'
            yield escape(environment.finalize(l_1_one))
            yield ' rect { fill: var(--'
            yield escape(environment.finalize(l_1_one))
            yield '-bg); stroke: var(--'
            yield escape(environment.finalize(l_1_one))
            yield ') } .'
            yield escape(environment.finalize(l_1_one))
            yield ' .told { fill: var(--'
            yield escape(environment.finalize(l_1_one))
            yield ') }\n'
        l_1_one = missing
        yield '</style>\n'
    yield '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto-start-reverse"><path class="head" d="M0 0L8 4L0 8z"/></marker></defs>\n'
    for l_1_arrow in (undefined(name='arrows') if l_0_arrows is missing else l_0_arrows):
        _loop_vars = {}
        pass
        yield '<path class="arrow'
        if environment.getattr(l_1_arrow, 'weak'):
            pass
            yield ' weak'
        yield '" d="'
        yield escape(environment.finalize(environment.getattr(l_1_arrow, 'path')))
        yield '" marker-end="url(#head)"/>\n'
    l_1_arrow = missing
    l_1_box_size = resolve('box_size')
    t_2 = []
    pass
    t_2.extend((
        '<rect width="',
        escape(environment.finalize(environment.getitem((undefined(name='box_size') if l_1_box_size is missing else l_1_box_size), 0))),
        '" height="',
        escape(environment.finalize(environment.getitem((undefined(name='box_size') if l_1_box_size is missing else l_1_box_size), 1))),
        '" rx="6"/>',
    ))
    l_0_rect = (Markup if context.eval_ctx.autoescape else identity)(concat(t_2))
    context.vars['rect'] = l_0_rect
    context.exported_vars.add('rect')
    l_1_box_size = missing
    for l_1_box in (undefined(name='boxes') if l_0_boxes is missing else l_0_boxes):
        l_1_state = l_1_href = missing
        _loop_vars = {}
        pass
        l_1_state = environment.getattr(l_1_box, 'state')
        _loop_vars['state'] = l_1_state
        l_1_href = environment.getattr(l_1_box, 'href')
        _loop_vars['href'] = l_1_href
        if (undefined(name='href') if l_1_href is missing else l_1_href):
            pass
            yield '<a href="'
            yield escape(environment.finalize((undefined(name='href') if l_1_href is missing else l_1_href)))
            yield '">'
        yield '<g class="'
        yield escape(environment.finalize(environment.getattr(l_1_box, 'classes')))
        yield '" transform="'
        yield escape(environment.finalize(environment.getattr(l_1_box, 'place')))
        yield '"><title>'
        yield escape(environment.finalize(environment.getattr(l_1_box, 'title')))
        yield '</title>\n'
        yield escape(environment.finalize((undefined(name='rect') if l_0_rect is missing else l_0_rect)))
        yield '\n<text x="10" y="'
        if (undefined(name='state') if l_1_state is missing else l_1_state):
            pass
            yield '18'
        else:
            pass
            yield '27'
        yield '">'
        yield escape(environment.finalize(environment.getattr(l_1_box, 'label')))
        yield '</text>\n'
        if (undefined(name='state') if l_1_state is missing else l_1_state):
            pass
            yield '<text class="told" x="10" y="35">'
            yield escape(environment.finalize((undefined(name='state') if l_1_state is missing else l_1_state)))
            yield '</text>\n'
        yield '</g>'
        if (undefined(name='href') if l_1_href is missing else l_1_href):
            pass
            yield '</a>'
        yield '\n'
    l_1_box = l_1_state = l_1_href = missing
    yield '</svg>'

blocks = {}
debug_info = '2=24&3=32&9=35&10=39&15=52&16=56&18=68&19=77&20=81&21=83&22=85&23=91&24=97&25=99&26=108&28=114'
