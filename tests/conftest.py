"""What every test gets."""

import os

pytest_plugins = ["plugins.no_internet", "plugins.database", "plugins.installation"]

os.environ["GROUNDWORK_LLMS__DISCOVER"] = "false"  # what runs on the machine of whoever tests must change nothing
