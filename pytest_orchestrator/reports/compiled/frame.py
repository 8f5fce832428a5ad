"""`templates/frame.html`, compiled by Jinja2 3.1.6."""

from pytest_orchestrator.reports.templating import TemplateRuntimeError, all_escaped, escaped, internalcode, missing, Environment as environment
name = 'frame.html'

def root(context, missing=missing, environment=environment):
    resolve = context.resolve_or_missing
    undefined = environment.undefined
    concat = environment.concat
    l_0_head = l_0_foot = l_0_brand_line = l_0_since = missing
    try:
        t_1 = environment.filters['moment']
    except KeyError:
        @internalcode
        def t_1(*unused):
            raise TemplateRuntimeError("No filter named 'moment' found.")
    try:
        t_2 = environment.filters['tojson']
    except KeyError:
        @internalcode
        def t_2(*unused):
            raise TemplateRuntimeError("No filter named 'tojson' found.")
    try:
        t_3 = environment.filters['utc']
    except KeyError:
        @internalcode
        def t_3(*unused):
            raise TemplateRuntimeError("No filter named 'utc' found.")
    t_4 = []
    pass
    def macro(l_1_title, l_1_digest):
        t_5 = []
        l_1_source = resolve('source')
        if l_1_title is missing:
            l_1_title = undefined("parameter 'title' was not provided", name='title')
        if l_1_digest is missing:
            l_1_digest = undefined("parameter 'digest' was not provided", name='digest')
        pass
        v_0, v_1, v_2, v_3, v_4 = all_escaped((l_1_digest, l_1_title, l_1_source('uplot-1.6.32.min.css'), l_1_source('page.css'), l_1_source('statistics.css')))
        t_5.append(
            f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<meta name="viewport" content="width=device-width, initial-scale=1">\n<meta name="color-scheme" content="light dark">\n<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; style-src \'unsafe-inline\'; script-src \'sha256-{v_0}'
            f'\'; base-uri \'none\'; form-action \'none\'">\n<title>{v_1}'
            f'</title>\n<style>\n{v_2}'
            f'\n{v_3}'
            f'\n{v_4}'
            f'\n</style>\n</head>\n'
        )
        return concat(t_5)
    context.exported_vars.add('head')
    context.vars['head'] = l_0_head = macro
    t_4.append(
        f'\n'
    )
    def macro(l_1_text, l_1_trends, l_1_script):
        t_6 = []
        if l_1_text is missing:
            l_1_text = undefined("parameter 'text' was not provided", name='text')
        if l_1_trends is missing:
            l_1_trends = undefined("parameter 'trends' was not provided", name='trends')
        if l_1_script is missing:
            l_1_script = undefined("parameter 'script' was not provided", name='script')
        pass
        v_0, v_1, v_2 = all_escaped((l_1_text, t_2({'curves': {}, 'trends': l_1_trends, 'recipes': []}), l_1_script))
        t_6.append(
            f'<footer class="quiet">{v_0}'
            f'</footer>\n<script type="application/json" id="data">{v_1}'
            f'</script>\n<script>{v_2}'
            f'</script>\n'
        )
        return concat(t_6)
    context.exported_vars.add('foot')
    context.vars['foot'] = l_0_foot = macro
    t_4.append(
        f'\n'
    )
    def macro(l_1_brand):
        t_7 = []
        if l_1_brand is missing:
            l_1_brand = undefined("parameter 'brand' was not provided", name='brand')
        pass
        if l_1_brand:
            pass
            t_7.append(
                f'<p class="brand">'
            )
            if l_1_brand.logo:
                pass
                v_0 = escaped(l_1_brand.logo)
                t_7.append(
                    f'<img src="{v_0}'
                    f'" alt="Logo">'
                )
            v_0 = escaped(l_1_brand.title)
            t_7.append(
                f' {v_0}'
                f'</p>'
            )
        return concat(t_7)
    context.exported_vars.add('brand_line')
    context.vars['brand_line'] = l_0_brand_line = macro
    t_4.append(
        f'\n'
    )
    def macro(l_1_first, l_1_last):
        t_8 = []
        if l_1_first is missing:
            l_1_first = undefined("parameter 'first' was not provided", name='first')
        if l_1_last is missing:
            l_1_last = undefined("parameter 'last' was not provided", name='last')
        pass
        if l_1_first:
            pass
            v_0, v_1, v_2, v_3, v_4, v_5 = all_escaped((l_1_first, t_3(l_1_first), t_1(l_1_first), l_1_last, t_3(l_1_last), t_1(l_1_last)))
            t_8.append(
                f'<div><dt>First run</dt><dd><time datetime="{v_0}'
                f'" title="{v_1}'
                f'">{v_2}'
                f'</time></dd></div>\n<div><dt>Last run</dt><dd><time datetime="{v_3}'
                f'" title="{v_4}'
                f'">{v_5}'
                f'</time></dd></div>\n'
            )
        return concat(t_8)
    context.exported_vars.add('since')
    context.vars['since'] = l_0_since = macro
    yield concat(t_4)

blocks = {}
debug_info = '2=29&19=52&25=74&26=79&29=102&30=109'
