"""`= ANY(array)`: one parameter, or one subquery asked once, where `IN` has a parameter for each or a join."""

from __future__ import annotations

from typing import Any

from django.db.models import ForeignKey, Lookup, UUIDField


class AnyOf(Lookup):
    """Takes a list, or an `ArraySubquery`; the planner then finds the rows by index, also beside an OR."""

    lookup_name = "anyof"

    def get_prep_lookup(self) -> Any:
        return self.rhs if hasattr(self.rhs, "resolve_expression") else list(self.rhs)

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        column, params = compiler.compile(self.lhs)
        if hasattr(self.rhs, "as_sql"):
            array, values = compiler.compile(self.rhs)
            return f"{column} = ANY({array})", (*params, *values)
        return f"{column} = ANY(%s)", (*params, self.rhs)


UUIDField.register_lookup(AnyOf)
ForeignKey.register_lookup(AnyOf)
