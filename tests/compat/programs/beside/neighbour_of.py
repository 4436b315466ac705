def words():
    return ["a", "b"]
