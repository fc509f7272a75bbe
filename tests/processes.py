"""What tests of several folders ask about processes."""


def alive(pid) -> bool:
    """Is there a process of that number that is more than a zombie, which whoever took it over has not looked at
    yet?"""
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
