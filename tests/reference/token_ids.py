#!/usr/bin/env python3
"""Prints the ids that transformers makes of texts: token_ids.py FOLDER TEXTS.json (a list of texts; special tokens are not added)"""

import json
import os
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
import transformers  # noqa: E402

tokenizer = transformers.AutoTokenizer.from_pretrained(sys.argv[1])
print(json.dumps([tokenizer.encode(text, add_special_tokens=False) for text in json.loads(Path(sys.argv[2]).read_text())]))
