"""The rules of FOCUS 1.2 for the columns that are exported, one function each, from the specification's own text.

Source: https://focus.finops.org/focus-specification/v1-2/, the sections "Columns" and "Attributes"; each rule names its
section and quotes what it checks. A rule takes one row and says what is wrong.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal

Record = Mapping[str, str]
Rule = Callable[[Record], Iterator[str]]

NEVER_NULL = (
    *("BilledCost", "BillingAccountId", "BillingCurrency", "BillingPeriodEnd", "BillingPeriodStart", "ChargeCategory"),
    *("ChargeDescription", "ChargePeriodEnd", "ChargePeriodStart", "ContractedCost", "EffectiveCost"),
    *("InvoiceIssuerName", "ListCost", "ProviderName", "PublisherName", "ServiceCategory", "ServiceName"),
    *("ChargeFrequency", "ServiceSubcategory"),
)
DECIMALS = (
    *("BilledCost", "ContractedCost", "EffectiveCost", "ListCost", "PricingQuantity", "ConsumedQuantity"),
    *("ContractedUnitPrice", "ListUnitPrice", "x_AtMostCost"),
)
DATES = ("BillingPeriodStart", "BillingPeriodEnd", "ChargePeriodStart", "ChargePeriodEnd")
ENUMS = {
    "ChargeCategory": {"Usage", "Purchase", "Tax", "Credit", "Adjustment"},
    "ChargeClass": {"", "Correction"},
    "ChargeFrequency": {"One-Time", "Recurring", "Usage-Based"},
    "PricingCategory": {"", "Standard", "Dynamic", "Committed", "Other"},
    "ServiceCategory": {"AI and Machine Learning"},
    "ServiceSubcategory": {
        *("AI Platforms", "Bots", "Generative AI", "Machine Learning", "Natural Language Processing"),
        "Other (AI and Machine Learning)",
    },
}
USED = (
    *("PricingQuantity", "PricingUnit", "ConsumedQuantity", "ConsumedUnit", "ListUnitPrice", "ContractedUnitPrice"),
    *("PricingCategory", "SkuId", "SkuMeter", "SkuPriceId"),
)


def never_null(row: Record) -> Iterator[str]:
    """Columns: "MUST NOT be null"."""
    yield from (f"{name} is null" for name in NEVER_NULL if not row[name])


def numeric(row: Record) -> Iterator[str]:
    """Numeric Format: "MUST NOT be expressed with mathematical symbols, operators, or exponent values"; one point."""
    for name in DECIMALS:
        if row[name] and not re.fullmatch(r"-?\d+(\.\d+)?", row[name]):
            yield f"{name} is no number: {row[name]}"


def not_negative(row: Record) -> Iterator[str]:
    """List and Contracted Unit Price: "within the range of non-negative decimal values"."""
    yield from (f"{name} is negative" for name in ("ListUnitPrice", "ContractedUnitPrice") if row[name].startswith("-"))


def dates(row: Record) -> Iterator[str]:
    """Date/Time Format: "MUST be expressed in UTC", "YYYY-MM-DDTHH:mm:ssZ"."""
    for name in DATES:
        if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", row[name]):
            yield f"{name} is no time: {row[name]}"


def periods(row: Record) -> Iterator[str]:
    """Billing Period, Charge Period: starts are inclusive, ends exclusive; a charge lies within its billing period."""
    month, next_month, begins, ends = (
        datetime.fromisoformat(row[name])
        for name in ("BillingPeriodStart", "BillingPeriodEnd", "ChargePeriodStart", "ChargePeriodEnd")
    )
    if not month <= begins < ends <= next_month:
        yield f"{begins} to {ends} is not within {month} to {next_month}"
    if month.day != 1 or (next_month.year * 12 + next_month.month) - (month.year * 12 + month.month) != 1:
        yield f"{month} to {next_month} is no month"


def enums(row: Record) -> Iterator[str]:
    """Columns: "MUST be one of the allowed values"."""
    yield from (f"{name} is {row[name]!r}" for name, allowed in ENUMS.items() if row[name] not in allowed)


def currency(row: Record) -> Iterator[str]:
    """Currency Format: ISO 4217."""
    if row["BillingCurrency"] != "USD":
        yield f"BillingCurrency is {row['BillingCurrency']}"


def used(row: Record) -> Iterator[str]:
    """Pricing Quantity, Unit Prices, SkuId, ...: "MUST NOT be null when ChargeCategory is Usage" and no Correction.

    Consumed Quantity and Unit: "MUST be null in all other cases".
    """
    if row["ChargeCategory"] == "Usage":
        yield from (f"{name} is null in a usage" for name in USED if not row[name])
        if row["ConsumedQuantity"] and Decimal(row["ConsumedQuantity"]) <= 0:
            yield "ConsumedQuantity is not positive"
    else:
        yield from (f"{name} in no usage" for name in ("ConsumedQuantity", "ConsumedUnit") if row[name])


def product(row: Record) -> Iterator[str]:
    """Pricing Quantity: "The product of PricingQuantity and a unit price MUST match the corresponding cost metric"."""
    for price, cost in (("ListUnitPrice", "ListCost"), ("ContractedUnitPrice", "ContractedCost")):
        if row[price] and Decimal(row[price]) * Decimal(row["PricingQuantity"]) != Decimal(row[cost]):
            yield f"{price} x PricingQuantity is not {cost}"
        if not row[price] and row[cost] != row["BilledCost"]:
            yield f"{cost} is not BilledCost, though {price} is null"


def units(row: Record) -> Iterator[str]:
    """Unit Format: "<unit-quantity> <plural-units>", capitalized nouns."""
    for name in ("PricingUnit", "ConsumedUnit"):
        if row[name] and not re.fullmatch(r"([1-9]\d* )?[A-Z][a-z]+s", row[name]):
            yield f"{name} is {row[name]!r}"


def tags(row: Record) -> Iterator[str]:
    """Key-Value Format: a JSON object whose values are numbers, strings or booleans."""
    if row["Tags"]:
        found = json.loads(row["Tags"])
        if not isinstance(found, dict) or not all(isinstance(value, str | bool | int) for value in found.values()):
            yield f"Tags are {row['Tags']}"


def custom(row: Record) -> Iterator[str]:
    """Column Naming: "Custom columns MUST be prefixed with x_"; PascalCase."""
    yield from (name for name in row if not re.fullmatch(r"(x_)?[A-Z][A-Za-z0-9]*", name))


RULES: tuple[Rule, ...] = (
    *(never_null, numeric, not_negative, dates, periods, enums),
    *(currency, used, product, units, tags, custom),
)


def faults(row: Record) -> list[str]:
    """Everything that is wrong with a row."""
    return [fault for rule in RULES for fault in rule(row)]
