"""A flow with a step that takes its time: three numbers are squared side by side, and summed up."""

# Metaflow declares few types:
# pyright: basic, reportPrivateImportUsage=false, reportOperatorIssue=false, reportArgumentType=false, reportOptionalOperand=false

import time
from typing import Any

from metaflow import FlowSpec, Parameter, step


class Squares(FlowSpec):
    seconds = Parameter("seconds", type=float, default=3.0)

    @step
    def start(self) -> None:
        self.numbers = [1, 2, 3]
        self.next(self.square, foreach="numbers")

    @step
    def square(self) -> None:
        self.squared = self.input**2
        print(f"{self.input} squared is {self.squared}")
        self.next(self.add)

    @step
    def add(self, inputs: Any) -> None:
        self.total = sum(each.squared for each in inputs)
        self.next(self.check)

    @step
    def check(self) -> None:
        print("checking")
        time.sleep(self.seconds)
        self.next(self.end)

    @step
    def end(self) -> None:
        print("the sum is", self.total)


if __name__ == "__main__":
    Squares()
