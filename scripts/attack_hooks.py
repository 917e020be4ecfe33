"""What schemathesis cannot know about this API and scripts/attack.toml cannot express."""

import schemathesis
from schemathesis.core.parameters import ParameterLocation


@schemathesis.hook
def filter_case(_context, case):
    """Skips forms with bad files: any bytes are a valid file, so schemathesis cannot make a bad one."""
    body = case.meta.components.get(ParameterLocation.BODY) if case.meta else None
    return not (case.media_type == "multipart/form-data" and body and body.mode.is_negative)
