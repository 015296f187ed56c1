"""How every page is put together: one frame, one style sheet, macros for what pages share, no byte from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nescio.report.headline import show_setting

HERE = Path(__file__).parent


def render_template(name: str, values: Mapping[str, Any]) -> str:
    """Fill a template of this folder; everything that is not Markup is escaped, a name without a value is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    loader = FileSystemLoader(HERE, encoding="utf-8")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    shared = {
        "css": Markup((HERE / "page.css").read_text(encoding="utf-8")),
        "is_table": _is_table,
        "table_columns": _table_columns,
        "show_setting": show_setting,
    }
    return environment.get_template(name).render(shared | dict(values)) + "\n"


def escape_json(value: Any) -> str:
    r"""JSON that cannot end the script element that it stands in.

    Examples:
        >>> escape_json(["</script>"])
        '["\\u003c/script>"]'
    """
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _is_table(value: Any) -> bool:
    """Whether a value is a mapping of mappings, such as seconds and memory by stage."""
    return isinstance(value, Mapping) and bool(value) and all(isinstance(row, Mapping) and row for row in value.values())


def _table_columns(table: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(column for row in table.values() for column in row))
