"""What a caller may do."""

from enum import IntEnum


class Role(IntEnum):
    """Each role may do what those before it may."""

    VIEWER = 1  # read
    OPERATOR = 2  # power, consoles, identify
    ADMIN = 3  # config, faults, firmware

    @property
    def word(self) -> str:
        """As it stands in the config, in certificates and in sentences."""
        return self.name.lower()


def role_of_word(word: str) -> Role | None:
    """Return the role of that name; None when there is none."""
    return next((role for role in Role if role.word == word), None)
