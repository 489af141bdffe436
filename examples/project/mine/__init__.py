"""What a project brings: each module a part, `measure` what is recorded beside the parameters."""
