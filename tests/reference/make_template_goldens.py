#!/usr/bin/env python3
"""Renders chat templates as transformers does: make_template_goldens.py FOLDER [SMOLLM2.gguf]

FOLDER holds templates (*.jinja). Prints JSON: one case for each template and conversation, with the text that transformers renders (or
null where the template raises an error) and the byte ranges of its generation blocks. With SmolLM2's file, its template and those that the
installed TRL and llama_cpp_python ship are rendered too.

After a change of a template or a conversation: make_template_goldens.py trainer/data/tests/templates > trainer/data/tests/templates/cases.json
"""

import json
import os
import sys
import time
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TZ"] = "UTC"
time.tzset()
from transformers.utils.chat_template_utils import render_jinja_template  # noqa: E402

SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
TOOLS = [
    {"type": "function", "function": {"name": "find_homes", "description": "Finds homes in a town <quickly> & \"well\".", "parameters": {
        "type": "object", "properties": {"town": {"type": "string", "description": "Où?"}, "rooms": {"type": "integer", "enum": [1, 2, 3]},
                                         "price": {"type": "number", "maximum": 1.5e6}}, "required": ["town"]}}},
    {"type": "function", "function": {"name": "call_agent", "description": "Calls.", "parameters": {"type": "object", "properties": {}}}},
]


def call(name, arguments, identity="call00001"):
    return {"id": identity, "type": "function", "function": {"name": name, "arguments": arguments}}


ASK = {"role": "user", "content": "Write a listing for a house in Bath, 3 rooms."}
TELL = {"role": "assistant", "content": "  Bath: sunny house & garden.\n\n"}
CALLED = [
    {"role": "user", "content": "Any homes in Bath?"},
    {"role": "assistant", "content": "", "tool_calls": [call("find_homes", {"town": "Bath", "rooms": 3, "price": 250000.0})]},
    {"role": "tool", "name": "find_homes", "content": "[\"12 Elm Road\"]", "tool_call_id": "call00001"},
    {"role": "assistant", "content": "12 Elm Road."},
]
CONVERSATIONS = {
    "one turn": {"messages": [ASK, TELL]},
    "prompt": {"messages": [ASK], "add_generation_prompt": True},
    "system": {"messages": [{"role": "system", "content": " Be brief.\n"}, ASK, TELL, {"role": "user", "content": "Shorter."}, {"role": "assistant", "content": "Bath."}]},
    "thinking": {"messages": [ASK, {"role": "assistant", "content": "<think>\nA house.\n</think>\n\nSunny."}, {"role": "user", "content": "And?"},
                              {"role": "assistant", "content": "<think>\nMore?\n</think>\n\nBig."}]},
    "reasoning": {"messages": [ASK, {"role": "assistant", "content": "Sunny.", "reasoning_content": "Think."}]},
    "no thinking": {"messages": [ASK], "add_generation_prompt": True, "extra": {"enable_thinking": False}},
    "tools": {"messages": CALLED, "tools": TOOLS},
    "tools prompt": {"messages": CALLED[:3], "tools": TOOLS, "add_generation_prompt": True},
    "tools after system": {"messages": [{"role": "system", "content": "Use tools."}, *CALLED], "tools": TOOLS[:1], "extra": {"tools_in_user_message": False}},
    "two calls": {"messages": [CALLED[0], {"role": "assistant", "content": "Both.", "tool_calls": [call("find_homes", {"town": "Bath"}), call("call_agent", {}, "call00002")]},
                               CALLED[2], {"role": "tool", "content": "ok", "tool_call_id": "call00002"}, CALLED[3]], "tools": TOOLS},
    "built-in tools": {"messages": [CALLED[0], {"role": "assistant", "content": "", "tool_calls": [call("brave_search", {"query": "homes"})]},
                                    {"role": "ipython", "content": "none"}, CALLED[3]], "extra": {"builtin_tools": ["brave_search", "code_interpreter"]}},
    "dates": {"messages": [ASK, TELL], "extra": {"date_string": "26 Jul 2024"}},
    "roles out of order": {"messages": [TELL, ASK]},
    "two users": {"messages": [ASK, ASK]},
    "unicode": {"messages": [{"role": "user", "content": "Zürich 🏠 \u200b日本\r\n\t'\"<>&{{ x }}{% y %}"}, {"role": "assistant", "content": "é\u0000 🏠"}]},
    "nothing": {"messages": []},
}


def render(template, conversation):
    arguments = {"chat_template": template, "add_generation_prompt": conversation.get("add_generation_prompt", False), "tools": conversation.get("tools")}
    chat = [conversation["messages"]]
    try:
        texts, ranges = render_jinja_template(chat, **arguments, **SPECIAL, **conversation.get("extra", {}), return_assistant_tokens_mask=True)
    except Exception:  # noqa: BLE001 (templates raise what they like)
        return None, []
    text = texts[0]
    return text, [[len(text[:at].encode()) for at in block] for block in ranges[0]]


def cases(name, template):
    for title, conversation in CONVERSATIONS.items():
        expected, generated = render(template, conversation)
        yield {"template": name, "conversation": title, **conversation, "expected": expected, "generated": generated}


def main():
    folder = Path(sys.argv[1])
    templates = {path.stem: path.read_text() for path in sorted(folder.glob("*.jinja"))}
    sources = {}
    if sys.argv[2:]:
        import gguf
        import trl
        from llama_cpp import llama_chat_format

        sources["smollm2"] = gguf.GGUFReader(sys.argv[2]).fields["tokenizer.chat_template"].contents()
        for path in sorted((Path(trl.__file__).parent / "chat_templates").glob("*.jinja")):
            sources[f"trl {path.stem}"] = path.read_text()
        for name in ("MISTRAL_INSTRUCT", "MIXTRAL_INSTRUCT", "LLAMA3_INSTRUCT"):
            sources[f"llama_cpp {name.lower()}"] = getattr(llama_chat_format, f"{name}_CHAT_TEMPLATE")
        templates |= sources
    found = [case for name, template in templates.items() for case in cases(name, template)]
    json.dump({"specialTokens": SPECIAL, "sources": sources, "cases": found}, sys.stdout, ensure_ascii=False, indent=1)
    print()


main()
