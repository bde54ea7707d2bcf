import assert from 'node:assert/strict';
import { test } from 'node:test';
import { judgeTemplate } from './judge-template.ts';

function rulesOf(template: string): readonly string[] {
  return [...new Set(judgeTemplate(template, '').map(({ ruleId }) => ruleId))].sort();
}

const hostile: readonly (readonly [string, string])[] = [
  ["{{ ''.__class__.__mro__[1].__subclasses__() }}", 'TPL-ATTRIBUTE'],
  ["{{ cycler['__in' ~ 'it__']['__globals__'] }}", 'TPL-ATTRIBUTE'],
  ['{{ x["\\x5f\\x5fclass\\x5f\\x5f"] }}', 'TPL-ATTRIBUTE'],
  ['{{ x["\\137\\137class\\137\\137"] }}', 'TPL-ATTRIBUTE'],
  ['{{ x["\\N{LOW LINE}_class__"] }}', 'TPL-ATTRIBUTE'],
  ['{{ x|attr("__class__") }}', 'TPL-ATTRIBUTE'],
  ['{{ x|attr("a") }}', 'TPL-COMPUTED-ATTRIBUTE'],
  ['{{ x | attr (y) }}', 'TPL-COMPUTED-ATTRIBUTE'],
  ['{{ x|map(attribute="__class__")|list }}', 'TPL-ATTRIBUTE'],
  ['{{ "{0.__class__}".format(x) }}', 'TPL-ATTRIBUTE'],
  ['{{ x["__ssalc__"|reverse] }}', 'TPL-ATTRIBUTE'],
  ["{{ x[['__cl','ass__']|join] }}", 'TPL-ATTRIBUTE'],
  ["{{ x['%s%s'|format('__gl','obals__')] }}", 'TPL-ATTRIBUTE'],
  ["{% set u = '_' * 2 %}{{ x[u ~ 'class' ~ u] }}", 'TPL-COMPUTED-ATTRIBUTE'],
  ["{% set a = '__cl' %}{% set b = 'ass__' %}{{ x[a+b] }}", 'TPL-COMPUTED-ATTRIBUTE'],
  ["{% set c = u ~ 'globals' ~ u %}{{ x[c] }}", 'TPL-COMPUTED-ATTRIBUTE'],
  ['{{ x["__CLASS__"|lower] }}', 'TPL-ATTRIBUTE'],
  ['{% for m in x %}{% if m.__init__ %}{% endif %}{% endfor %}', 'TPL-ATTRIBUTE'],
  ['{{ f.gi_frame.f_back }}', 'TPL-ATTRIBUTE'],
  ['{# {{ safe }} #}{{ x.__class__ }}', 'TPL-ATTRIBUTE'],
  ['{% raw %}{{ safe }}{% endraw %}{{ x.__class__ }}', 'TPL-ATTRIBUTE'],
  ['{{ "}}" ~ x.__class__ }}', 'TPL-ATTRIBUTE'],
  ['{%- from "x" import y -%}', 'TPL-INCLUDE'],
  ['{{ x._\uff3fclass_\uff3f }}', 'TPL-ATTRIBUTE'],
  ['{{ "unterminated }}', 'TPL-UNREADABLE'],
  [
    "{% set u=(lipsum|string)[18] %}{% set g=u~u~'glo'~'bals'~u~u %}{{ lipsum[g]['os'].popen('id') }}",
    'TPL-COMPUTED-ATTRIBUTE',
  ],
  ['{% set u = (raise_exception|string)[10] %}{{ messages[u] }}', 'TPL-COMPUTED-ATTRIBUTE'],
  ["{% set a = 'x' %}{% set g = a + b %}{% set h = g %}{{ messages[h] }}", 'TPL-COMPUTED-ATTRIBUTE'],
  ['{% set g %}{{ u }}x{{ u }}{% endset %}{{ messages[g] }}', 'TPL-COMPUTED-ATTRIBUTE'],
  ['{% set ns.g = a ~ b %}{{ messages[ns.g] }}', 'TPL-COMPUTED-ATTRIBUTE'],
  ['{{ messages|map(attribute=a ~ b)|list }}', 'TPL-COMPUTED-ATTRIBUTE'],
  ['{% macro g() %}x{% endmacro %}{{ messages[g()] }}', 'TPL-COMPUTED-ATTRIBUTE'],
  ['{{ cycler.next }}', 'TPL-COMPUTED-ATTRIBUTE'],
  ['{{ (joiner)|string }}', 'TPL-COMPUTED-ATTRIBUTE'],
  [`{{ ${'a['.repeat(20_000)} }}`, 'TPL-UNREADABLE'],
  ['{% raw %} {{ x }}', 'TPL-UNREADABLE'],
];

for (const [template, rule] of hostile) {
  test(`hostile template: ${template.slice(0, 100)}`, () =>
    assert.ok(rulesOf(template).includes(rule), rulesOf(template).join()));
}

const harmless: readonly string[] = [
  "{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token }}{% endif %}{% endfor %}",
  "{%- set ns = namespace(found=false, system_prompt='') -%}{{- bos_token }}{% set x = content.split('</think>')[-1] %}",
  "{%- if tools %}{{- '<tools>' }}{%- for tool in tools %}{{- tool | tojson(indent=4) }}{%- endfor %}{%- endif %}",
  "{{ messages[loop.index0 + 1].content | trim }}{{ messages[1:] | selectattr('role', 'equalto', 'user') | list }}",
  "{{ name.replace(' ', '_') }}{{ items | join('_') }}{{ x['tool_calls'][0]['function'].name }}",
  '{% generation %}{{ message.content }}{% endgeneration %}{{ strftime_now("%d %b %Y") }}',
  'the text x.__class__ and |attr( outside of blocks is only text {# and {{ x.__class__ }} in a comment #}',
  '{% raw %}{{ x.__class__ }}{% endraw %}{{ {"a": {"b": 1}} }}',
  "{{ '____' }}",
  "{% set ns = namespace(text='') %}{% for m in messages %}{% set ns.text = ns.text + m.content %}{% set index = (messages|length - 1) - loop.index0 %}{% set message = messages[index] %}{{ ns.text ~ message['role'] }}{% endfor %}",
  "{% set c = cycler('a', 'b') %}{{ c.next() }}{% set joiner = ', ' %}{{ joiner }}{{ names | join(joiner) }}",
  "{% set content = content.split('</think>')[-1] + '\\n' %}{{ content }}{{ messages[loop.index0 + 1]['content'] }}{{ tools[content|length] }}",
];

for (const template of harmless) {
  test(`harmless template: ${template.slice(0, 60)}`, () => assert.deepEqual(rulesOf(template), []));
}

test('every beginning of a template is read without a throw', () => {
  const template = hostile.map(([text]) => text.slice(0, 200)).join('\n');
  for (let end = 0; end < template.length; end += 1) judgeTemplate(template.slice(0, end), '');
});
