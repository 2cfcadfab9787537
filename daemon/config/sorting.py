"""`sorting:` which grade a retired cell gets."""

from __future__ import annotations

from pydantic import Field, model_validator

from daemon.config.section import Section


class Sorting(Section):
    """Grades of `bmsd sort`: A, B and C by SOH, reject below; a cell that cannot be judged gets none."""

    grade_a_soh: float = Field(0.85, gt=0.0, le=1.2, description="Grade A from this SOH on.")
    grade_b_soh: float = Field(0.75, gt=0.0, le=1.2, description="Grade B from this SOH on.")
    grade_c_soh: float = Field(0.65, gt=0.0, le=1.2, description="Grade C from this SOH on; below: reject.")
    soh_std_max: float = Field(
        0.08,
        gt=0.0,
        le=0.5,
        description="A SOH less sure than this standard deviation is refused. Lower: fewer cells graded, more surely.",
    )

    @model_validator(mode="after")
    def _grades_descend(self) -> Sorting:
        if not self.grade_a_soh > self.grade_b_soh > self.grade_c_soh:
            raise ValueError("grade_a_soh, grade_b_soh and grade_c_soh descend")
        return self

    def grade(self, soh: float) -> str:
        """Name the grade of a SOH."""
        steps = (("A", self.grade_a_soh), ("B", self.grade_b_soh), ("C", self.grade_c_soh))
        return next((name for name, least in steps if soh >= least), "reject")
