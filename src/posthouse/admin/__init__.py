"""Operations on domains, people, queue and devices; the same functions serve the daemon and the offline
tool."""
