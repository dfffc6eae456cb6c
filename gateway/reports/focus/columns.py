"""The columns of the export, in their order: the 21 mandatory ones of FOCUS 1.2, what it recommends here, and ours.

Source: FOCUS 1.2, "Columns" (https://focus.finops.org/focus-specification/v1-2/). Names of columns that are not the
specification's begin with `x_`, as it asks.
"""

from __future__ import annotations

from typing import Final

VERSIONS: Final = ("1.2",)

MANDATORY: Final = (
    "BilledCost",
    "BillingAccountId",
    "BillingAccountName",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "ContractedCost",
    "EffectiveCost",
    "InvoiceIssuerName",
    "ListCost",
    "PricingQuantity",
    "PricingUnit",
    "ProviderName",
    "PublisherName",
    "ServiceCategory",
    "ServiceName",
)
FURTHER: Final = (
    "ChargeFrequency",
    "ConsumedQuantity",
    "ConsumedUnit",
    "ContractedUnitPrice",
    "InvoiceId",
    "ListUnitPrice",
    "PricingCategory",
    "ServiceSubcategory",
    "SkuId",
    "SkuMeter",
    "SkuPriceId",
    "SubAccountId",
    "SubAccountName",
    "Tags",
)
OURS: Final = (
    "x_RequestId",
    "x_Attempt",
    "x_AttemptKind",
    "x_BeganAt",
    "x_Project",
    "x_KeyId",
    "x_User",
    "x_Session",
    "x_Agent",
    "x_Model",
    "x_Deployment",
    "x_PromptId",
    "x_PromptVersion",
    "x_Meter",
    "x_Quantity",
    "x_State",
    "x_Estimated",
    "x_Unpriced",
    "x_AtMostCost",
    "x_PriceSource",
    "x_PriceVersion",
)
COLUMNS: Final = (*MANDATORY, *FURTHER, *OURS)
