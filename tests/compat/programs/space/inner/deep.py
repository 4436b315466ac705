def depth():
    return 2
