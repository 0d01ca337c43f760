"""Car loans: will a customer repay the loan on a car?

The synthetic data set that NannyML bundles: 50,000 labelled rows train the model, and
50,000 later ones arrive as a stream whose second half drifts, in the value of the cars and
in the length of the loans. Units and meanings are those of NannyML's documentation.
"""

from __future__ import annotations

from core.problems.contract import (
    Arrivals,
    Contract,
    DatasetSource,
    Field,
    FieldType,
    Label,
    Problem,
)

PROBLEM = Problem(
    name="car_loan",
    title="Car loan repayment",
    contract=Contract(
        fields=(
            Field(
                "car_value",
                FieldType.NUMBER,
                "Price of the car",
                example=21_900.0,
                unit="euros",
                minimum=0,
                maximum=10_000_000,
                usual=(10_000, 110_000),
            ),
            Field(
                "salary_range",
                FieldType.CATEGORY,
                "Yearly salary of the customer, as a range",
                example="20K - 40K €",
                categories=("0 - 20K €", "20K - 40K €", "40K - 60K €", "60K+ €"),
            ),
            Field(
                "debt_to_income_ratio",
                FieldType.NUMBER,
                "Debts of the customer over the income",
                example=0.66,
                minimum=0,
                maximum=100,
                usual=(0.25, 0.75),
            ),
            Field(
                "loan_length",
                FieldType.INTEGER,
                "Length of the loan",
                example=16,
                unit="months",
                minimum=1,
                maximum=600,
                usual=(6, 22),
            ),
            Field(
                "repaid_loan_on_prev_car",
                FieldType.CATEGORY,
                "Whether the customer has repaid the loan on an earlier car",
                example="True",
                categories=("True", "False"),
            ),
            Field(
                "size_of_downpayment",
                FieldType.CATEGORY,
                "Down payment as a share of the car's price",
                example="20%",
                categories=tuple(f"{percent}%" for percent in range(0, 101, 10)),
            ),
            Field(
                "driver_tenure",
                FieldType.NUMBER,
                "How long the customer has been driving",
                example=5.6,
                unit="years",
                minimum=0,
                maximum=100,
                usual=(0, 7),
            ),
        ),
        label=Label("repaid", 1, 0, positive_meaning="repaid", negative_meaning="not repaid"),
        identifiers=("id",),
        # What the data set's own model said: good to compare with, never to learn from.
        leaky=("y_pred", "y_pred_proba"),
        timestamp="timestamp",
    ),
    source=DatasetSource("nannyml", "synthetic_car_loan"),
    arrivals=Arrivals(DatasetSource("nannyml", "synthetic_car_loan")),
    # Fewer and quicker candidates than a small data set gets: each is fitted on 27,000 rows
    # for every fold.
    search_space={
        "lr": {
            # Without a penalty on absolute values, which takes several times as long.
            "regParam": (0.0, 0.01),
            "elasticNetParam": (0.0,),
        },
        "rf": {
            "numTrees": (30,),
            "maxDepth": (6, 10),
        },
        "gbt": {
            "maxIter": (15, 30),
            "maxDepth": (4, 5),
            "stepSize": (0.2,),
        },
        "xgb": {
            "n_estimators": (100, 200),
            "max_depth": (4, 6),
            "learning_rate": (0.1, 0.2),
        },
    },
)
