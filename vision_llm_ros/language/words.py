"""Word tables: facts of English that the grammar stands on. Meaning and use are in `lexicon.py`."""

from __future__ import annotations

from collections.abc import Iterable

COCO_CLASSES: tuple[str, ...] = tuple(
    (
        "person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,traffic light,fire hydrant,stop sign,"
        "parking meter,bench,bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,giraffe,backpack,umbrella,handbag,tie,"
        "suitcase,frisbee,skis,snowboard,sports ball,kite,baseball bat,baseball glove,skateboard,surfboard,"
        "tennis racket,bottle,wine glass,cup,fork,knife,spoon,bowl,banana,apple,sandwich,orange,broccoli,carrot,"
        "hot dog,pizza,donut,cake,chair,couch,potted plant,bed,dining table,toilet,tv,laptop,mouse,remote,keyboard,"
        "cell phone,microwave,oven,toaster,sink,refrigerator,book,clock,vase,scissors,teddy bear,hair drier,toothbrush"
    ).split(",")
)

# Words operators use for a COCO class: "word=class". Only words that mean the same thing, not kinds of it.
SYNONYMS: dict[str, str] = dict(
    pair.split("=")
    for pair in (
        "human=person,human being=person,individual=person,somebody=person,someone=person,anybody=person,"
        "anyone=person,people=person,folk=person,folks=person,guy=person,passer-by=person,passerby=person,bike=bicycle,"
        "cycle=bicycle,pushbike=bicycle,push bike=bicycle,automobile=car,auto=car,motorcar=car,motorbike=motorcycle,"
        "motor bike=motorcycle,motor cycle=motorcycle,plane=airplane,aeroplane=airplane,aircraft=airplane,"
        "jet plane=airplane,lorry=truck,"
        "stoplight=traffic light,stop light=traffic light,traffic signal=traffic light,traffic lamp=traffic light,"
        "hydrant=fire hydrant,rucksack=backpack,knapsack=backpack,back pack=backpack,purse=handbag,hand bag=handbag,"
        "necktie=tie,neck tie=tie,brolly=umbrella,luggage case=suitcase,travel case=suitcase,suit case=suitcase,"
        "flying disc=frisbee,ski=skis,snow board=snowboard,skate board=skateboard,surf board=surfboard,"
        "sport ball=sports ball,baseball mitt=baseball glove,tennis racquet=tennis racket,wineglass=wine glass,"
        "hotdog=hot dog,doughnut=donut,sofa=couch,settee=couch,houseplant=potted plant,house plant=potted plant,"
        "pot plant=potted plant,plant pot=potted plant,dinner table=dining table,diningtable=dining table,"
        "lavatory=toilet,loo=toilet,"
        "television=tv,tv monitor=tv,tvmonitor=tv,telly=tv,tv set=tv,television set=tv,tv screen=tv,"
        "notebook computer=laptop,laptop computer=laptop,"
        "computer mouse=mouse,remote control=remote,remote controller=remote,tv remote=remote,"
        "computer keyboard=keyboard,"
        "cell=cell phone,cellphone=cell phone,mobile phone=cell phone,mobile=cell phone,smartphone=cell phone,"
        "smart phone=cell phone,phone=cell phone,cellular phone=cell phone,iphone=cell phone,microwave oven=microwave,"
        "fridge=refrigerator,washbasin=sink,wall clock=clock,alarm clock=clock,teddy=teddy bear,hairdryer=hair drier,"
        "hair dryer=hair drier,hairdrier=hair drier,blow dryer=hair drier,tooth brush=toothbrush,"
        "pair of scissors=scissors"
    ).split(",")
)

# Other things a camera can see, by theme; each is its own class.
_THINGS = """
people: man woman child boy girl baby kid toddler adult teenager lady gentleman worker pedestrian cyclist driver rider
 passenger player skier surfer skater runner nurse doctor patient soldier firefighter chef waiter farmer student teacher
 crowd customer shopper visitor guest intruder stranger operator technician swimmer dancer musician police_officer
 policeman policewoman construction_worker security_guard old_man old_woman face hand arm leg foot head hair beard eye
 ear nose mouth finger shoulder knee elbow back skeleton actor astronaut pilot sailor victim casualty neighbor neighbour
clothes: hat cap helmet hard_hat jacket coat shirt t-shirt tshirt sweater hoodie dress skirt trousers pants jeans shorts
 sock shoe boot sneaker sandal slipper glove scarf belt vest safety_vest life_jacket life_vest uniform suit mask
 face_mask goggles sunglasses glasses apron raincoat badge lanyard bracelet necklace ring earring watch wristwatch
 headphones headset earphones earbuds bow_tie button zipper pocket hood high-visibility_vest
bags: bag box cardboard_box carton crate basket bin barrel bucket can jar jug container shipping_container package
 parcel pallet envelope wallet briefcase duffel_bag shopping_bag plastic_bag paper_bag sack tote tray drawer chest
 trunk luggage trash_can garbage_can dustbin wastebasket recycling_bin trash garbage rubbish litter case tub pouch
vehicles: vehicle van suv taxi cab ambulance fire_truck fire_engine police_car tractor trailer scooter moped tram
 streetcar locomotive wagon carriage cart shopping_cart trolley stroller wheelchair forklift pallet_jack excavator
 bulldozer crane ship sailboat canoe kayak ferry yacht submarine helicopter drone quadcopter glider rocket
 hot_air_balloon jeep pickup pickup_truck minivan limousine sedan convertible golf_cart tricycle unicycle segway
 rickshaw
 snowmobile jet_ski tank wheel tire tyre windshield headlight license_plate number_plate bumper car_door wing propeller
 engine sail anchor steering_wheel seat saddle pedal handlebar
street: road street lane sidewalk pavement crosswalk zebra_crossing curb traffic_cone cone bollard barrier guardrail
 fence gate sign road_sign street_sign traffic_sign speed_limit_sign billboard banner flag lamp_post lamppost
 street_light streetlight pole pillar post mailbox letterbox bus_stop parking_lot intersection bridge tunnel railway
 track rail
 manhole pothole puddle phone_booth telephone_box statue monument fountain sculpture scaffold scaffolding power_line
 wire cable antenna chimney roof tower building house skyscraper church castle barn shed hut tent garage warehouse
 factory shop store window door doorway wall brick stair staircase stairs step ladder balcony porch awning lighthouse
 windmill turbine solar_panel dock pier fire_escape playground swing slide obstacle crack driveway parking_space
furniture: table desk coffee_table side_table nightstand bedside_table stool bar_stool armchair rocking_chair
 office_chair recliner ottoman bookshelf bookcase shelf cabinet cupboard wardrobe closet dresser counter countertop
 workbench rack mattress pillow cushion blanket duvet sheet bedsheet towel curtain blind carpet rug mat doormat lamp
 floor_lamp desk_lamp table_lamp chandelier light light_bulb candle lantern mirror picture_frame painting poster photo
 photograph drawing map calendar whiteboard blackboard bulletin_board fireplace radiator heater fan ceiling_fan
 air_conditioner vent ceiling floor crib cradle high_chair hammock coat_rack hanger furniture bean_bag trash_bin
kitchen: mug glass beer_glass teacup coffee_cup paper_cup plate dish saucer pan frying_pan pot saucepan wok kettle
 teapot coffee_pot coffee_maker coffee_machine blender mixer juicer stove cooker hob freezer dishwasher faucet tap
 chopstick ladle spatula whisk peeler grater can_opener bottle_opener corkscrew cutting_board chopping_board
 rolling_pin colander sieve measuring_cup napkin tablecloth placemat straw lid thermos flask pitcher salt_shaker
 pepper_mill pepper_shaker egg_carton cutlery utensil tableware wine_bottle beer_bottle water_bottle beer_can
 soda_can tin
 range_hood kitchen_knife teaspoon tablespoon toaster_oven rice_cooker stockpot
food: food fruit vegetable pear peach plum cherry grape strawberry raspberry blueberry lemon lime grapefruit melon
 watermelon pineapple mango kiwi coconut avocado tomato potato onion garlic cucumber pepper bell_pepper chili lettuce
 cabbage cauliflower spinach pea bean corn mushroom pumpkin eggplant zucchini celery bread loaf baguette bagel
 croissant bun roll toast pancake waffle muffin cupcake cookie biscuit pie tart pastry pudding ice_cream chocolate
 candy lollipop cheese butter egg milk yogurt meat steak sausage bacon ham chicken turkey fish shrimp crab lobster
 burger hamburger taco burrito sushi noodle pasta spaghetti rice soup salad french_fries fries popcorn chips cereal nut
 peanut almond honey jam ketchup mustard sauce coffee tea juice water wine beer soda cola snack meal dessert
animals: animal pet kitten puppy lion tiger leopard cheetah wolf fox rabbit hare squirrel rat hamster guinea_pig
 hedgehog raccoon skunk badger beaver otter deer moose elk reindeer antelope bison buffalo ox bull calf goat lamb pig
 piglet donkey mule pony foal camel llama alpaca kangaroo koala panda polar_bear monkey gorilla chimpanzee ape
 hippo hippopotamus rhino rhinoceros crocodile alligator snake lizard frog toad turtle tortoise duck duckling goose
 swan hen rooster chick pigeon crow raven sparrow seagull gull eagle hawk owl parrot penguin ostrich flamingo peacock
 stork heron shark whale dolphin seal jellyfish octopus squid starfish goldfish salmon bee wasp fly mosquito butterfly
 moth ant spider beetle ladybug dragonfly grasshopper worm snail slug insect bug nest feather beak tail paw antler
 cattle
 livestock poultry puffin bat ram
tools: tool hammer screwdriver wrench spanner pliers saw drill power_drill axe chisel file clamp vise toolbox nail
 screw bolt gear spring pipe hose valve rope chain hook tape duct_tape tape_measure measuring_tape ruler level shovel
 spade rake broom mop brush paintbrush paint_can paint_roller sponge squeegee vacuum vacuum_cleaner wheelbarrow
 lawn_mower lawnmower
 hedge_trimmer sprinkler watering_can flower_pot planter fire_extinguisher first_aid_kit alarm smoke_detector switch
 light_switch socket power_socket outlet power_outlet plug extension_cord battery charger generator motor pump
 solenoid actuator gripper robot robot_arm manipulator conveyor conveyor_belt machine lathe printer 3d_printer
 multimeter soldering_iron tweezers knob handle doorknob door_handle lever hinge lock padlock key keychain magnet gauge
 meter thermometer bearing bracket panel control_panel emergency_stop_button apriltag qr_code barcode marker label
 sticker tag
 fuse circuit_board pcb chip resistor led tripod gas_cylinder oil_drum drum hard_drive nut crowbar
electronics: computer pc desktop_computer monitor screen display tablet ipad telephone smartwatch camera webcam
 security_camera surveillance_camera video_camera camcorder projector speaker loudspeaker microphone radio stereo
 record_player game_controller joystick game_console router server usb_stick hard_disk cd dvd calculator scanner
 photocopier fax_machine walkie-talkie flashlight torch device gadget appliance washing_machine washer dryer
 clothes_dryer iron ironing_board sewing_machine atm vending_machine elevator escalator cash_register power_strip
office: pen pencil crayon eraser notebook notepad paper sheet_of_paper document folder binder stapler
 paper_clip paperclip staple glue scotch_tape magazine newspaper letter postcard stamp card business_card credit_card
 clipboard sticky_note post-it id_card passport ticket money coin banknote bill receipt globe trophy medal dictionary
 menu leaflet
bathroom: bathtub bath shower shower_head shower_curtain toilet_paper toilet_seat soap soap_dispenser shampoo
 toothpaste comb hairbrush razor lipstick perfume lotion tissue_box tissue paper_towel hand_towel urinal bidet
 laundry_basket scale medicine pill pill_bottle syringe bandage crutch stethoscope stretcher hospital_bed walker cane
 walking_stick
play: toy doll puppet stuffed_animal stuffed_toy lego block building_block puzzle dice chess_board chess_piece
 board_game playing_card balloon ball football soccer_ball basketball volleyball tennis_ball baseball golf_ball
 rugby_ball beach_ball bowling_ball bowling_pin golf_club hockey_stick puck goal goalpost net hoop basketball_hoop
 racket badminton_racket shuttlecock ping_pong_paddle paddle oar dumbbell barbell treadmill yoga_mat jump_rope
 boxing_glove
 roller_skate ice_skate ski_pole sled sleigh snowman snowball fishing_rod bow arrow target gun rifle pistol
 sword shield whistle guitar violin cello piano trumpet saxophone flute harp accordion harmonica banjo
 pool_table fireworks trampoline weight figurine
nature: tree bush shrub hedge plant flower rose tulip sunflower daisy leaf branch trunk log stump grass lawn field
 moss vine cactus palm palm_tree pine_tree christmas_tree forest mountain hill cliff rock stone boulder pebble sand
 beach desert river lake pond stream sea ocean wave waterfall snow ice cloud sky sun moon star rainbow smoke fire flame
 soil mud dirt dust ground shadow path trail island cave garden bouquet wreath seed acorn pinecone shell seashell
 terrain lightning weed stick twig crop orchard fence_post stain spill leak text logo watermark timestamp
 rust hole dent scratch
""".strip()

_RARER_THINGS = """
 boar doe mast quilt vane kale mole sash pug mitt lark gown goblet cot robin clam spool cork plank hut quail reptile
 rodent mammal beaker divan timepiece jetliner chauffeur minibike gramophone loveseat mandolin porcupine lynx tadpole
 spork skillet cauldron chariot dinghy fax_machine kimono sombrero turban monocle gurney hatchet machete pitchfork
 bassinet gazebo pergola kiosk turnstile hydrofoil bicyclist bystander infant grandmother grandfather mother father
 brother sister girlfriend boyfriend couple team hound pooch mutt crockpot papaya pomegranate lychee quinoa tofu
 kebab oscilloscope lidar thermostat humidifier hubcap bonnet dashboard airbag beacon buoy coaster trivet doily
 tuxedo corset stiletto clog moccasin cufflink brooch tiara crown sceptre bib veil cape cloak robe pajamas pyjamas
 bikini swimsuit wetsuit leotard tights stocking mitten beanie bandana headband hairpin hairband wig moustache
 mustache bra underwear undershirt blouse polo_shirt blazer waistcoat parka anorak poncho overalls jumpsuit loafer
 flip-flop flip_flop clown cowboy judge priest bride groom baker butcher barber mechanic plumber carpenter painter
 gardener postman mailman courier janitor cleaner referee coach athlete gymnast boxer wrestler goalkeeper batter
 catcher cheerleader supermarket kitchen_sink worktop pantry hot_plate tea_towel oven_mitt dish_rack soap_dish
 ice_cube ice_bucket wine_rack decanter tumbler champagne_glass shot_glass soup_bowl sugar_bowl butter_dish
 gravy_boat tongs skewer cleaver strainer funnel mortar pestle nutcracker egg_timer kitchen_scale lunchbox lunch_box
 cooler ice_chest picnic_basket food_truck hot_dog_stand bakery apricot fig nectarine cantaloupe raisin cranberry
 walnut hazelnut pistachio cashew artichoke asparagus beetroot beet radish turnip leek ginger parsley basil mint
 rosemary olive pickle cereal_box oatmeal granola pretzel cracker brownie cheesecake eclair macaron marshmallow
 gummy_bear lasagna ravioli dumpling spring_roll omelette curry stew casserole meatball salami pepperoni
 hot_chocolate smoothie milkshake cocktail lemonade energy_drink water_jug gas_can jerrycan keg shopping_trolley
 pushchair pram buggy car_seat booster_seat roof_rack bike_rack bicycle_rack bicycle_helmet motorcycle_helmet
 side_mirror rearview_mirror exhaust_pipe spark_plug windshield_wiper wiper fuel_pump gas_pump gas_station
 petrol_pump charging_station parking_garage traffic_barrier speed_bump speed_camera toll_booth railing handrail
 banister ramp elevator_button doorbell keypad intercom letter_opener peephole skylight shutter windowsill
 window_frame door_frame attic basement corridor hallway lobby office kitchen bathroom bedroom classroom gym stage
 podium lectern pew altar bell chime clock_tower water_tower silo greenhouse chicken_coop doghouse birdhouse
 bird_feeder beehive aquarium fish_tank terrarium birdcage leash collar pet_bowl litter_box scratching_post saddlebag
 horseshoe hay haystack hay_bale straw_bale tractor_trailer plow plough harvester combine_harvester seedling sapling
 fern ivy bamboo reed lily orchid tulip_bulb dandelion lavender poppy cherry_blossom willow oak maple birch pine fir
 cedar cypress mangrove coral seaweed algae driftwood geyser volcano canyon valley glacier iceberg dune swamp marsh
 meadow prairie jungle rainforest savanna farm vineyard plantation harbor harbour port marina jetty wharf shipyard
 cargo_ship container_ship cruise_ship fishing_boat rowboat speedboat lifeboat raft paddleboard life_buoy lifebuoy
 flipper snorkel diving_mask oxygen_tank scuba_tank parachute paraglider hang_glider satellite spacecraft
 space_shuttle blimp airship biplane fighter_jet cockpit jet_engine runway control_tower jet_bridge baggage_carousel
 conveyor_line forklift_truck reach_truck agv mobile_robot robot_dog humanoid quadruped legged_robot robot_vacuum
 robot_gripper suction_cup end_effector cobot servo stepper_motor encoder camera_lens lens tripod_head gimbal
 ring_light softbox light_stand studio_light spotlight floodlight lamp_shade lampshade lava_lamp night_light
 fairy_lights neon_sign lightbulb candlestick candle_holder incense match matchbox lighter ashtray cigarette cigar
 pipe_wrench allen_key hex_key screw_driver socket_wrench ratchet sledgehammer mallet pickaxe hoe secateurs
 pruning_shears shears garden_hose garden_gnome sandbag sandpit sandbox seesaw climbing_frame monkey_bars carousel
 ferris_wheel roller_coaster bumper_car bouncy_castle pinata party_hat gift present gift_box ribbon confetti streamer
 birthday_cake easter_egg jack-o'-lantern ornament bauble rubber_duck yo-yo kaleidoscope marble spinning_top
 rubik's_cube jigsaw chess_set domino poker_chip roulette_wheel dartboard dart cue_ball pool_cue tennis_court
 basketball_court football_field soccer_field golf_course running_track swimming_pool pool diving_board
 starting_block hurdle javelin discus shot_put pommel_horse balance_beam climbing_wall carabiner harness crampon
 ice_axe tent_peg sleeping_bag camping_stove campfire bonfire compass binoculars telescope microscope
 magnifying_glass test_tube bunsen_burner petri_dish pipette centrifuge oxygen_mask blood_pressure_monitor
 defibrillator ventilator iv_drip iv_stand x-ray plaster cast splint hearing_aid dentures prosthesis contact_lens
 inhaler ear_plug ear_muffs eye_patch mosquito_net hand_sanitizer disinfectant detergent bleach bucket_truck dustpan
 feather_duster trash_bag bin_bag refuse_sack compost_heap wheelie_bin skip dumpster manhole_cover drain gutter
 downpipe water_pipe gas_pipe pressure_gauge pressure_valve fire_alarm fire_blanket fire_door exit_sign
 emergency_exit first-aid_kit safety_cone safety_helmet safety_goggles safety_gloves welding_mask welder
 welding_torch grinder angle_grinder circular_saw chainsaw band_saw nail_gun staple_gun glue_gun heat_gun
 caulking_gun spray_can spray_bottle paint_bucket workpiece cog pulley flywheel crankshaft piston gearbox cylinder
 flange gasket hex_nut wing_nut rivet dowel plywood timber lumber beam girder rebar cement concrete_mixer
 cement_mixer dump_truck garbage_truck tow_truck tanker road_roller street_sweeper snow_plow snowplow backhoe loader
 digger skid_steer cherry_picker scissor_lift aerial_lift cable_car ski_lift gondola monorail subway metro railcar
 freight_train steam_train railway_station train_station platform rail_crossing signal_box buffer_stop airport
 terminal hospital school library museum theatre theater cinema stadium arena restaurant cafe hotel bank prison court
 market stall vendor souvenir backdrop easel palette sketchbook mural graffiti mosaic stained_glass bust figurehead
 totem gravestone tombstone coffin urn tapestry headboard bedframe bunk_bed sofa_bed futon chaise_longue footstool
 piano_stool highchair folding_chair lawn_chair deck_chair beach_chair beach_umbrella parasol picnic_table
 conference_table pool_float filing_cabinet tv_stand shoe_rack key_holder umbrella_stand towel_rack medicine_cabinet
 shower_door toilet_brush plunger bath_mat cotton_swab nail_clipper nail_polish mascara eyeliner makeup makeup_brush
 hair_clip hair_brush hair_tie electric_razor electric_toothbrush dental_floss mouthwash deodorant sunscreen powder
 typewriter floppy_disk memory_card sim_card ethernet_cable hdmi_cable usb_cable power_cable power_adapter adapter
 docking_station graphics_card motherboard cpu heatsink computer_case computer_screen touchscreen e-reader kindle
 vr_headset game_boy playstation xbox drone_propeller walkie_talkie megaphone loudhailer turntable vinyl_record
 cassette amplifier drum_kit cymbal tambourine xylophone bagpipe ukulele bass_guitar electric_guitar clarinet oboe
 bassoon trombone tuba french_horn organ music_stand metronome sheet_music bookmark atlas textbook comic_book
 sticky_tape highlighter fountain_pen ballpoint_pen marker_pen chalk chalkboard protractor hole_punch paper_shredder
 shredder laminator label_printer barcode_scanner price_tag cash_drawer queue_barrier mannequin clothes_rack
 clothes_line clothesline clothes_peg clothespin safe vault piggy_bank handcuffs baton riot_shield bulletproof_vest
 bullet cannon missile grenade bomb tank_truck armored_vehicle helmet_visor trap cage hive web spider_web cobweb
 cocoon caterpillar centipede scorpion tick flea cricket cicada firefly praying_mantis mantis earthworm leech
 clownfish tuna trout carp catfish eel stingray manta_ray swordfish seahorse oyster mussel scallop prawn crayfish
 walrus sea_lion manatee orca narwhal platypus wombat tasmanian_devil sloth armadillo anteater lemur meerkat mongoose
 weasel ferret chinchilla gerbil gecko iguana chameleon komodo_dragon salamander newt toucan macaw cockatoo parakeet
 canary finch hummingbird woodpecker kingfisher pelican vulture falcon condor magpie jay pheasant peahen emu
 cassowary gosling yak gazelle impala wildebeest hyena jackal coyote dingo jaguar cougar panther bobcat baboon
 orangutan lion_cub heifer mare
"""


def _nouns(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word.replace("_", " ") for word in words))


COMMON_NOUNS: tuple[str, ...] = _nouns(
    word for line in _THINGS.replace("\n ", " ").splitlines() for word in line.split(":", 1)[1].split()
)
OTHER_NOUNS: tuple[str, ...] = _nouns((*COMMON_NOUNS, *_RARER_THINGS.split()))

# Plural = singular, where rules fail. A word that is its own plural stands alone in UNCHANGED.
IRREGULAR_PLURALS: dict[str, str] = dict(
    pair.split("=")
    for pair in (
        "people=person,persons=person,men=man,women=woman,children=child,feet=foot,teeth=tooth,geese=goose,mice=mouse,"
        "knives=knife,forks=fork,wives=wife,leaves=leaf,loaves=loaf,shelves=shelf,bookshelves=bookshelf,calves=calf,"
        "wolves=wolf,halves=half,scarves=scarf,hooves=hoof,oxen=ox,dice=dice,cacti=cactus,octopi=octopus,policemen=policeman,"
        "policewomen=policewoman,gentlemen=gentleman,snowmen=snowman,buses=bus,busses=bus,potatoes=potato,"
        "tomatoes=tomato,mangoes=mango,passers-by=passer-by,wineglasses=wineglass,gases=gas,tyres=tyre,axes=axe,"
        "buffaloes=buffalo,mosquitoes=mosquito,thieves=thief,lenses=lens,hippopotami=hippopotamus,irises=iris,"
        "canoes=canoe,shoes=shoe,horseshoes=horseshoe,toes=toe,cookies=cookie,pies=pie,ties=tie,movies=movie,"
        "selfies=selfie,hoodies=hoodie,brownies=brownie,eyes=eye,axles=axle,cellos=cello,pianos=piano,radios=radio,"
        "photos=photo,videos=video,stereos=stereo,burritos=burrito,tacos=taco,kangaroos=kangaroo,rhinos=rhino,"
        "hippos=hippo,avocados=avocado,menus=menu,caches=cache,moustaches=moustache,headaches=headache,"
        "doggies=dog,kitties=cat,birdies=bird,veggies=vegetable,undies=underwear"
    ).split(",")
)
UNCHANGED: frozenset[str] = frozenset(
    """sheep fish deer moose bison cattle scissors skis trousers pants jeans shorts glasses sunglasses goggles pliers
    tweezers headphones earphones earbuds stairs livestock poultry luggage furniture food grass broccoli spaghetti
    rice cutlery series species fries chips water sand snow ice aircraft binoculars fireworks traffic bus gas lens
    glass grass dress mattress cactus octopus compass atlas iris canvas christmas moss cross boss process
    hippopotamus rhinoceros platypus walrus tableware shrimp salmon squid lego clothes tights french_fries swiss
    mess fitness circus virus walrus tennis dais asparagus couscous molasses hibiscus uterus campus bias axis basis
    chess surplus wireless stainless red-eyes""".split()
)

# Things nobody can see: refused as classes.
NOT_OBJECTS: frozenset[str] = frozenset(
    """happiness sadness love hate hatred anger joy fear hope peace justice freedom truth lie idea thought opinion
    knowledge wisdom democracy politics law religion god soul spirit mind memory dream time hour minute second day
    week month year today tomorrow yesterday morning evening night past future history gravity energy force power
    speed velocity mass temperature weather climate music song sound noise silence smell taste pain pleasure beauty
    intelligence consciousness courage luck fate chance reason meaning purpose life death birth health sickness
    economy price cost value profit tax salary job career success failure problem solution answer question
    information data software program code password secret name word sentence language grammar number mathematics
    science philosophy art literature friendship marriage family relationship trust honor loyalty patience kindness
    curiosity imagination inspiration motivation confidence wealth poverty equality liberty opportunity infinity
    nothing nobody nowhere emptiness loneliness boredom excitement surprise mood feeling emotion sense humor humour
    style culture tradition society government bug-report error exception bitcoin internet website email instruction
    instructions prompt rule rules system file files database wifi bluetooth request command north south east west
    direction distance reality existence honesty elegance anxiety depression mercy revenge faith belief doubt
    difference similarity quality quantity possibility necessity ability talent skill experience advice homework
    research evidence progress permission attention capitalism socialism communism evolution tomorrow's yesterday's
    prime joke poem story novel lesson""".split()
)

# Too vague to be looked for alone ("the thing"), fine with a clause that says which ("the thing you can sit on").
VAGUE: frozenset[str] = frozenset(
    """thing things something anything stuff object objects item items entity entities target targets whatever
    everything one ones part parts area areas region spot piece pieces other others rest bit bits kind sort type
    surface material place it them that this those these him her he she they me you us myself yourself itself here
    there what who which""".split()
)

COLOURS = """
    red orange yellow green blue purple violet pink brown black white grey gray golden gold silver beige turquoise
    cyan magenta maroon navy tan cream crimson teal lime olive colourful colorful coloured colored pale dark bright
    light""".split()
# The colours that pixels are named by, and which of them a word may mean.
BASIC_COLOURS = ("black", "white", "gray", "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown")
COLOUR_WORDS: dict[str, tuple[str, ...]] = {
    **{name: (name,) for name in BASIC_COLOURS},
    **dict.fromkeys(("grey", "silver"), ("gray",)),
    **dict.fromkeys(("violet", "magenta"), ("purple",)),
    **dict.fromkeys(("golden", "gold"), ("yellow", "orange")),
    **dict.fromkeys(("turquoise", "cyan", "teal"), ("green", "blue")),
    **dict.fromkeys(("maroon", "crimson"), ("red", "brown")),
    **dict.fromkeys(("tan", "beige"), ("brown", "yellow", "orange")),
    "cream": ("white", "yellow"),
    **dict.fromkeys(("lime", "olive"), ("green",)),
    "navy": ("blue", "black"),
}
ADJECTIVES: frozenset[str] = frozenset(
    COLOURS
    + """big small large little tiny huge tall short long wide narrow thin thick fat slim giant enormous medium mini
    bigger smaller larger taller shorter biggest smallest largest tallest shortest longest widest nearest closest
    farthest furthest highest lowest brightest darkest oldest youngest newest left right upper lower top bottom
    middle central center centre front rear back leftmost rightmost topmost bottommost uppermost lowermost left-hand
    right-hand inner outer first second third fourth fifth last next previous other same wooden metal metallic
    plastic glass leather rubber concrete stone paper cardboard ceramic fabric woollen cotton steel iron brass
    copper transparent shiny round square rectangular triangular circular oval flat curved straight sharp blunt
    hollow soft hard fluffy furry striped spotted dotted checkered plaid patterned open closed empty full broken
    damaged cracked clean dirty wet dry new old young ancient modern antique rusty hot cold warm frozen ripe rotten
    fresh sliced cooked raw parked moving stationary standing sitting walking running sleeping lying flying swimming
    jumping smiling crying riding folded overturned upright tilted abandoned lonely single double pretty beautiful
    ugly cute nice cool heavy lit unlit sleeping hidden visible occluded distant nearby foreground background male
    female elderly bald bearded blond blonde brunette pregnant tattooed masked armed injured whole half missing
    blurry unattended loose spare electric portable mobile digital analog wall-mounted potted stuffed toy fake real
    wild domestic baby adult""".split()
)
