"""E-mails: the one spelling by which an account is stored, compared and looked for."""

from email_validator import EmailNotValidError, validate_email


def normalised_email(email: str) -> str:
    """The one spelling by which an e-mail is stored and compared; raises ValueError for what is none."""
    checked = validate_email(email.strip(), check_deliverability=False, globally_deliverable=False)
    return checked.normalized.lower()


def sought_email(email: str) -> str:
    """The spelling to look an account up by; what is no e-mail finds none."""
    try:
        return normalised_email(email)
    except EmailNotValidError:
        return email.strip().lower()
