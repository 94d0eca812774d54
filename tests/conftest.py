"""What every test gets."""

pytest_plugins = ["plugins.no_internet", "plugins.database", "plugins.installation"]
