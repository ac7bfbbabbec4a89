"""Who really sent it: SPF, DKIM, DMARC and the header that says so. Pure; DNS is an argument."""
