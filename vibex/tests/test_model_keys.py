"""Keys of model servers come from variables that end with the provider's name, or from files, and are masked."""

import pytest

from vibex.lib import env


def faults(folder, **process):
    with pytest.raises(env.BadEnvironment) as refusal:
        env.read(folder, process)
    return {fault.name: fault.wrong for fault in refusal.value.faults}


def test_a_key_stands_under_the_name_of_its_provider(tmp_path):
    file = tmp_path / "key"
    file.write_text("from-a-file\n")
    read = env.read(
        tmp_path, {"LLM_API_KEY_GROQ": "given", "LLM_API_KEY_MY_HOST_FILE": str(file), "LLM_API_KEY": "own"}
    )
    assert read.MODEL_KEYS == {"GROQ": "given", "MY_HOST": "from-a-file"}
    assert read.LLM_API_KEY == "own"
    assert {"given", "from-a-file", "own"} <= set(env.secret_values(read)), "all of them are masked in logs"
    assert "from-a-file" not in repr(read)


def test_the_file_of_the_key_at_the_base_url_is_no_provider_named_file(tmp_path):
    file = tmp_path / "key"
    file.write_text("own")
    read = env.read(tmp_path, {"LLM_API_KEY_FILE": str(file)})
    assert (read.LLM_API_KEY, read.MODEL_KEYS) == ("own", {})


def test_a_name_in_small_letters_is_a_fault_that_shows_the_name_that_is_read(tmp_path):
    found = faults(tmp_path, LLM_API_KEY_groq="sk-secret")
    assert "LLM_API_KEY_GROQ" in found["LLM_API_KEY_groq"]
    assert "sk-secret" not in str(found)


def test_a_key_that_is_given_twice_or_as_an_unreadable_file_is_a_fault(tmp_path):
    found = faults(
        tmp_path,
        LLM_API_KEY_GROQ="given",
        LLM_API_KEY_GROQ_FILE=str(tmp_path / "nowhere"),
        LLM_API_KEY_OTHER_FILE=str(tmp_path / "nowhere"),
    )
    assert "together" in found["LLM_API_KEY_GROQ_FILE"]
    assert "cannot be read" in found["LLM_API_KEY_OTHER_FILE"]
