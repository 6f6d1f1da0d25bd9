"""The one error a person sees: what is wrong, where, and how to fix it."""


class ClusterError(Exception):
    def __init__(self, what: str, fix: str = "") -> None:
        super().__init__(f"{what}\n  fix: {fix}" if fix else what)
        self.what = what
        self.fix = fix
