"""Localization of the pages: texts, amounts, numbers and dates in the language of the reader.

The folder `locales` contains one file of messages per language. All files have the same keys.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from functools import cache, lru_cache

from babel import Locale, dates, numbers
from starlette.requests import Request

from tillstream.web.static_files import STATIC

LOCALES = STATIC / "locales"
LANGUAGES = {"en": Locale("en", "GB"), "fr": Locale("fr", "FR")}
"""The supported languages. The first is the default."""

NO_VALUE = "–"

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_NBSP = "\u00a0"


class Localizer:
    """The messages and formats of one language. `Intl` in the browser uses the same formats."""

    def __init__(self, language: str) -> None:
        self.language = language
        self.locale = LANGUAGES[language]
        file = LOCALES / f"{language}.json"
        self.messages: Mapping[str, str | Mapping[str, str]] = json.loads(file.read_text(encoding="utf-8"))

    def text(self, key: str, **values: object) -> str:
        """Return the message with this key. `values` replace its placeholders.

        If the message has plural forms, the value `count` selects one of them.
        """
        message = self.messages[key]
        if not isinstance(message, str):
            form = self.locale.plural_form(Decimal(str(values.get("count", 0))))
            message = message.get(form, message["other"])
        return _PLACEHOLDER.sub(lambda found: str(values.get(found[1], found[0])), message)

    def money(self, amount: str | None, currency: str) -> str:
        """Format a decimal string as an amount, rounded half up to the minor unit of the currency."""
        return NO_VALUE if amount is None else _money(self.locale, amount, currency, exact=False)

    def price(self, amount: str, currency: str) -> str:
        """Format a decimal string as an amount with all its decimals. Unit prices may have fractions of a cent."""
        return _money(self.locale, amount, currency, exact=True)

    def count(self, number: int) -> str:
        return numbers.format_decimal(number, locale=self.locale)

    def day(self, day: str) -> str:
        """Format an ISO date with its weekday, for example `Sat 18 Nov 2017`."""
        return dates.format_skeleton("yMMMEd", date.fromisoformat(day), locale=self.locale).replace(",", "")


@cache
def localizer(language: str) -> Localizer:
    return Localizer(language)


def language_of(request: Request) -> str:
    """Return the first supported language in the query, the cookie and the browser preferences, or the default."""
    accepted = request.headers.get("accept-language", "").split(",")
    preferred = [part.split(";")[0].strip()[:2].lower() for part in accepted]
    candidates = (request.query_params.get("lang"), request.cookies.get("lang"), *preferred)
    return next((each for each in candidates if each in LANGUAGES), next(iter(LANGUAGES)))


# Results are cached, because formatting is slow and long tables repeat the same amounts.
@lru_cache(maxsize=4_096)
def _money(locale: Locale, amount: str, currency: str, *, exact: bool) -> str:
    value = Decimal(amount)
    if not exact:
        unit = Decimal(1).scaleb(-numbers.get_currency_precision(currency))
        value = value.quantize(unit, ROUND_HALF_UP)
    text = numbers.format_currency(value, currency, locale=locale, decimal_quantization=False)
    symbol = numbers.get_currency_symbol(currency, locale)
    # The Unicode locale data require a space between a symbol such as CHF and the digits. Babel omits this space.
    return re.sub(rf"({re.escape(symbol)})(?=\d)", rf"\1{_NBSP}", text) if symbol[-1].isalpha() else text
