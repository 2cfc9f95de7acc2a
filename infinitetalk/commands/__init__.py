"""Every command line: flags into requests, results into text or JSON."""
