"""What can be wrong with keys and bundles. Each text is one sentence for a person."""


class SigningError(Exception):
    """Nothing was signed."""


class BundleError(Exception):
    """This is no bundle that can be used."""
