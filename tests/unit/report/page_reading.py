"""What tests read off a page in the browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.support.browser import Page


def written(page: str, path: Path) -> Path:
    path.write_text(page, encoding="utf-8")
    return path


def column(page: Page, table: str, key: str) -> list[str]:
    """The texts of a table's column on the page shown, by the header's text."""
    headers = page.texts(f'[data-table="{table}"] thead tr:first-child button')
    place = 1 + next(at for at, text in enumerate(headers) if text.rstrip("▲▼") == key)
    return page.texts(f'[data-table="{table}"] tbody td:nth-child({place})')


def numbers(texts: list[str]) -> list[float]:
    return [float(text.replace(",", "")) for text in texts if text]


def header(page: Page, table: str, key: str) -> Any:
    buttons = page.driver.find_elements("css selector", f'[data-table="{table}"] thead button')
    button = next(one for one in buttons if one.text.rstrip("▲▼") == key)
    page.run("arguments[0].scrollIntoView({block: 'center'})", button)
    return button


def said(page: Page, table: str) -> str:
    return str(page.texts(f'[data-table="{table}"] [role=status]')[0])


def buttons(page: Page) -> list[str]:
    """What the buttons beside the plots do."""
    return list(page.run("return [...document.querySelectorAll('.modebar-btn')].map((one) => one.dataset.title)"))
