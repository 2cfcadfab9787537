"""The base of every section: unknown keys are refused, nothing changes after reading."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator, model_validator


class Section(BaseModel):
    """One heading of config.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _bare_heading(cls, value: object) -> object:
        return {} if value is None else value  # a heading whose keys are all commented out

    @field_validator("*", mode="before")
    @classmethod
    def _truth_is_no_number(cls, value: object, info: ValidationInfo) -> object:
        """Refuse YAML's `off` and `no` where a number is wanted: they would read as 0, which means something else."""
        if isinstance(value, bool) and cls.model_fields[str(info.field_name)].annotation is not bool:
            raise ValueError("true, false, yes, no, on and off are truth values in YAML")
        return value
