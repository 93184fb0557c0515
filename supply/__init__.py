"""What Vibex is made of beside its own code: licences, known faults and what is excepted from them, a bill of materials."""
