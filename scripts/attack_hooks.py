"""What schemathesis cannot know of this API, where scripts/attack.toml has no words for it."""

import schemathesis
from schemathesis.core.parameters import ParameterLocation


@schemathesis.hook
def filter_case(_context, case):
    """A form with a wrong file in it is not to be had: any bytes are a file, whatever they were made to violate."""
    body = case.meta.components.get(ParameterLocation.BODY) if case.meta else None
    return not (case.media_type == "multipart/form-data" and body and body.mode.is_negative)
