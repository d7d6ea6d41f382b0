// What quality is measured on: prose, instructions, a program, figures, and other languages.
#pragma once

#include <array>
#include <string_view>

namespace spillway::local {

inline constexpr std::array<std::string_view, 8> kQualityTexts = {
    "A spillway lets a dam keep what it can hold and carries the rest safely away. When the river "
    "rises after a storm, the reservoir behind the wall fills until the water reaches the crest of "
    "the overflow. From there it runs down a channel of concrete, loses its force in a basin at "
    "the "
    "foot, and joins the river below. Engineers choose the width of the channel for the largest "
    "flood that they expect in a thousand years.",
    "Question: A train leaves the station at nine in the morning and travels at eighty kilometres "
    "an hour. A second train leaves two hours later on the same track and travels at one hundred "
    "and twenty. When does the second train reach the first? Answer: After t hours the second "
    "train "
    "has gone 120 t kilometres and the first 80 (t + 2). Both are equal when 40 t = 160, so t = 4, "
    "which is three in the afternoon.",
    "def merge(left, right):\n    \"\"\"Returns the items of two sorted lists in order.\"\"\"\n"
    "    result = []\n    i = j = 0\n    while i < len(left) and j < len(right):\n"
    "        if left[i] <= right[j]:\n            result.append(left[i])\n            i += 1\n"
    "        else:\n            result.append(right[j])\n            j += 1\n"
    "    return result + left[i:] + right[j:]\n",
    "To make the soup, wash two large leeks and cut them into thin rings. Melt a spoon of butter "
    "in "
    "a pot, add the leeks and a pinch of salt, and let them soften for ten minutes without colour. "
    "Add three potatoes in small pieces and a litre of water. Simmer until the potatoes fall "
    "apart, "
    "then stir in a little cream, taste, and serve with bread.",
    "{\"id\": 4711, \"customer\": {\"name\": \"Ada\", \"city\": \"London\"}, \"items\": [{\"sku\": "
    "\"A-100\", \"count\": 2, \"price\": 19.90}, {\"sku\": \"B-205\", \"count\": 1, \"price\": "
    "249.00}], \"total\": 288.80, \"currency\": \"EUR\", \"paid\": true}",
    "The heart has four chambers. Blood that has given its oxygen to the body enters the right "
    "atrium, passes into the right ventricle, and is pumped to the lungs. There it takes up oxygen "
    "and returns to the left atrium. The left ventricle, whose wall is the thickest, sends it "
    "through the aorta to all other organs. Valves between the chambers keep it from flowing back.",
    "Der Gateway entscheidet bei jeder Anfrage, ob die eigene Maschine sie rechtzeitig beantworten "
    "kann. Wenn nicht, geht sie an den billigsten Anbieter, der das Versprechen halten wird.",
    "Dear Ms. Rivera, thank you for your letter of March 3. We are sorry that the lamp arrived "
    "with "
    "a crack in its glass. A new one left our warehouse today and should reach you by Friday; you "
    "need not send the old one back. If there is anything else that we can do, please write to us "
    "or call between nine and five. Yours sincerely, the customer service team."};

}  // namespace spillway::local
