"""Every port as dictionaries: nothing leaves the process, all time and chance are passed in."""
