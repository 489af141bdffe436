"""What every refusal of ours is: an exception whose text is all that a person has to read."""


class RunnerError(Exception):
    """Something that was typed, or is there, cannot be carried out; the text says what and why."""
