"""Settings in, a Platform out: the only part that names an adapter, and all that the faces see of what is below."""

from groundwork.assembly.platform import Platform as Platform
from groundwork.assembly.platform import open_platform as open_platform
from groundwork.retrieve.request import Request as Request
